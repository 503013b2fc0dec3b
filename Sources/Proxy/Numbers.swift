// Which number does an upstream or a peer have, on every worker alike? The control plane gives the
// numbers out, so that a worker searches no name, and takes each back only when the last worker has
// let go of it: a request in flight never finds another peer under the number it began with.

/// Numbers for names, small and dense. Pure.
struct Numbers<Name: Hashable & Sendable>: Sendable {
    private var byName: [Name: Int32] = [:]
    private var names: [Name?] = []
    private var free: [Int32] = []
    /// Workers that may still use a number whose name is gone.
    private var holders: [Int32: Int] = [:]

    /// Numbers there are.
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Every name that has a number now.
    var all: [Name: Int32] { byName }
    var count: Int { byName.count }
    /// Gone, and held by some worker.
    var leavingCount: Int { holders.count }

    subscript(name: Name) -> Int32? { byName[name] }

    /// Nil while nobody has the number, or only those who are leaving.
    func name(of number: Int32) -> Name? {
        names.indices.contains(Int(number)) ? names[Int(number)] : nil
    }

    /// The number of `name`, a new one if it has none. Nil when all are taken.
    mutating func take(_ name: Name) -> Int32? {
        if let known = byName[name] { return known }
        let number: Int32
        if let reused = free.popLast() {
            number = reused
            names[Int(number)] = name
        } else {
            guard names.count < limit else { return nil }
            number = Int32(names.count)
            names.append(name)
        }
        byName[name] = number
        return number
    }

    /// Takes the name off its number, which is free once each of `workers` has released it.
    mutating func retire(_ name: Name, workers: Int) -> Int32? {
        guard let number = byName.removeValue(forKey: name) else { return nil }
        names[Int(number)] = nil
        if workers > 0 { holders[number] = workers } else { free.append(number) }
        return number
    }

    /// One worker has let go of a number that was retired.
    mutating func release(_ number: Int32) {
        guard let left = holders[number] else { return }
        if left > 1 {
            holders[number] = left - 1
        } else {
            holders[number] = nil
            free.append(number)
        }
    }
}
