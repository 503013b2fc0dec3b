/// Where are the fields of a head?
///
/// A head is not copied: a field is sixteen bytes that say where its name and value lie in the
/// bytes that were parsed, and is worth nothing without them.
public struct Field: Equatable, Sendable, BitwiseCopyable {
    public let nameStart: UInt32
    public let valueStart: UInt32
    public let valueLength: UInt32
    public let nameLength: UInt16
    public let known: KnownField
    @usableFromInline var flags: UInt8

    /// The same bit as the class of the byte, so that a name's classes need no translation.
    @usableFromInline static let underscoreFlag: UInt8 = 4
    @usableFromInline static let droppedFlag: UInt8 = 8
    @usableFromInline static let blankFlag: UInt8 = 16
    @usableFromInline static let paddedFlag: UInt8 = 32

    @inline(__always)
    init(
        name: (start: Int, end: Int),
        value: (start: Int, end: Int),
        known: KnownField,
        flags: UInt8
    ) {
        nameStart = UInt32(truncatingIfNeeded: name.start)
        nameLength = UInt16(truncatingIfNeeded: name.end &- name.start)
        valueStart = UInt32(truncatingIfNeeded: value.start)
        valueLength = UInt32(truncatingIfNeeded: value.end &- value.start)
        self.known = known
        self.flags = flags
    }

    /// The name, without any whitespace an upstream put before the colon.
    @inlinable
    public var name: Range<Int> {
        unsafe Range(uncheckedBounds: (Int(nameStart), Int(nameStart) &+ Int(nameLength)))
    }

    /// The value, without the optional whitespace around it.
    @inlinable
    public var value: Range<Int> {
        unsafe Range(uncheckedBounds: (Int(valueStart), Int(valueStart) &+ Int(valueLength)))
    }

    /// Application servers that hand fields on as environment variables cannot tell `X_Y` from
    /// `X-Y`, so a name with an underscore can imitate a field that a proxy vouches for.
    @inlinable
    public var hasUnderscore: Bool { flags & Self.underscoreFlag != 0 }

    /// Set by `FieldTable.markHopByHop`: the field ends at this hop and is not forwarded.
    @inlinable
    public var isHopByHop: Bool { flags & Self.droppedFlag != 0 }

    /// Whitespace stands before the colon, which only a response may have (RFC 9112 5.1), or a line of the
    /// head ended in its own way: the field has to be written anew.
    @inlinable
    public var hasBlankName: Bool { flags & Self.blankFlag != 0 }

    /// A `Content-Length` such as `005`, which is legal and some read as octal (RFC 9110 8.6).
    @inlinable
    public var isPaddedLength: Bool { flags & Self.paddedFlag != 0 }

    @inline(__always)
    var isNotable: Bool { flags | (KnownField.notable & known.bit == 0 ? 0 : 1) != 0 }

    /// False for a field that goes on as it is: of none of `kinds`, and nothing odd about it. Most
    /// are, and one test of this costs a head less than a test for each reason.
    @inlinable
    public func needsCare(_ kinds: UInt64) -> Bool { flags != 0 || kinds & known.bit != 0 }
}

/// The fields of the head parsed last, in the order they came, in storage allocated once.
///
/// A worker owns one and lends it to every parse; a head's fields are valid until the next one.
@safe public struct FieldTable: ~Copyable {
    public let capacity: Int
    public internal(set) var count = 0
    /// The kinds of all fields, one bit each.
    public internal(set) var kinds: UInt64 = 0
    /// How many fields somebody has to look at: those of a kind that framing, routing or a proxy acts on, and
    /// those that are odd. Most are neither, and most loops over a head need only these.
    public internal(set) var notableCount = 0
    @usableFromInline let storage: UnsafeMutablePointer<Field>
    /// The places of the notable ones, in their order.
    @usableFromInline let notable: UnsafeMutablePointer<UInt16>

    public init(capacity: Int = HeadLimits().fields) {
        precondition(capacity > 0)
        precondition(capacity <= Int(UInt16.max))
        self.capacity = capacity
        unsafe storage = .allocate(capacity: capacity)
        unsafe notable = .allocate(capacity: capacity)
    }

    deinit {
        unsafe storage.deallocate()
        unsafe notable.deallocate()
    }

    @inlinable
    public subscript(_ index: Int) -> Field {
        precondition(index >= 0 && index < count)
        return unsafe storage[index]
    }

    /// Where the notable field of this place among them stands.
    @inlinable
    public func notable(_ place: Int) -> Int {
        precondition(place >= 0 && place < notableCount)
        return unsafe Int(notable[place])
    }

    /// The first field of this kind, for callers that need one or two; a loop serves many better.
    @inlinable
    public func first(_ known: KnownField) -> Field? {
        for index in 0..<count where unsafe storage[index].known == known {
            return unsafe storage[index]
        }
        return nil
    }

    /// For loops below `count` in this module.
    @inline(__always)
    func at(_ index: Int) -> Field {
        assert(index < count)
        return unsafe storage[index]
    }

    @inline(__always)
    func put(_ field: Field, at index: Int) {
        assert(index < capacity)
        unsafe (storage + index).initialize(to: field)
    }

    /// For loops below `notableCount` in this module.
    @inline(__always)
    func notableAt(_ place: Int) -> Int {
        assert(place < notableCount)
        return unsafe Int(notable[place])
    }

    @inline(__always)
    func putNotable(_ index: Int, at place: Int) {
        assert(place < capacity)
        unsafe (notable + place).initialize(to: UInt16(truncatingIfNeeded: index))
    }

    /// Fields that nobody had to look at have been marked since.
    @inline(never)
    mutating func findNotable() {
        notableCount = 0
        for index in 0..<count where at(index).isNotable {
            putNotable(index, at: notableCount)
            notableCount &+= 1
        }
    }

    @inline(__always)
    func markPadded(at index: Int) {
        assert(index < count)
        unsafe storage[index].flags |= Field.paddedFlag
    }

    /// What was read leniently is forwarded strictly: as no line that came.
    @inline(never)
    mutating func markAllToBeWrittenAnew() {
        for index in 0..<count { unsafe storage[index].flags |= Field.blankFlag }
        findNotable()
    }

    /// Whoever forwards the head writes these fields anew, or leaves them out.
    @inline(never)
    public mutating func drop(where isDropped: (Field) -> Bool) {
        for index in 0..<count where isDropped(at(index)) { drop(at: index) }
        findNotable()
    }

    @inline(__always)
    func drop(at index: Int) {
        assert(index < count)
        unsafe storage[index].flags |= Field.droppedFlag
    }
}
