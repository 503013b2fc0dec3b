// What else lives as long as a loop does? One object of each type that asks for it: the adapter of
// a C library, for example, which is made when it is first needed.

/// Objects by their type.
struct Attachments {
    private var objects: [ObjectIdentifier: AnyObject] = [:]

    mutating func object<Kind: AnyObject, Failure: Error>(
        _ make: () throws(Failure) -> Kind
    ) throws(Failure) -> Kind {
        if let object = objects[ObjectIdentifier(Kind.self)] as? Kind { return object }
        let object = try make()
        objects[ObjectIdentifier(Kind.self)] = object
        return object
    }
}
