// Which of two things asked of one peer is the later? Each register carries the time at which it was asked
// for, and the later of each holds: whatever the order in which they arrive, all who hold the same two end
// with the same. What was lifted stays written down with its time for a while, a tombstone, so that nobody
// who heard of it before, and not of its end, brings it back.

public import Vocabulary

/// Something that many may ask for, register by register. The whole of a sort is this and a line in
/// `Records`.
public protocol Wish: Hashable, Sendable {
    associatedtype Key: RecordKey
    associatedtype Change: Sendable
    static var sort: RecordSort { get }
    /// Whether what is asked for first comes first: then a hash, which has no order, is told of in that of time.
    static var comesInOrder: Bool { get }

    /// What each register holds, in the order of the sort: an object of its members, or null where
    /// nothing is asked for.
    var parts: [JSON] { get }
    /// Of which one at least is not null. Nil where one makes no sense; what can be brought into its
    /// range is.
    init?(parts: [JSON])
    /// What a change says of each register: nil where nothing, null where it is lifted.
    static func parts(of change: Change) -> [JSON?]
}

extension Wish {
    public static var comesInOrder: Bool { false }
}

/// What is asked for now.
public struct Asking<W: Wish>: StoreChange, Hashable {
    public let key: W.Key
    /// Nil where nothing is.
    public let wish: W?
    /// When it was asked for, by register; nil where that is not known.
    public let sinces: [WallTime?]
    /// By the first of them.
    public var since: WallTime? { sinces.first ?? nil }

    public init(_ key: W.Key, _ wish: W?, since: WallTime? = nil) {
        self.init(key, wish, sinces: [since])
    }

    public init(_ key: W.Key, _ wish: W?, sinces: [WallTime?]) {
        self.key = key
        self.wish = wish
        self.sinces = wish == nil ? [] : sinces
    }

    /// What is asked for is the same, whenever that was.
    public static func == (one: Self, other: Self) -> Bool {
        one.key == other.key && one.wish == other.wish
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(key)
        hasher.combine(wish)
    }
}

/// What is asked for in one place, as a store keeps it. Times are the store's own.
public struct Asked<W: Wish>: Record {
    struct Part: Hashable, Sendable {
        /// An object, or null.
        var value = JSON.null
        var at = StampTime.never
    }

    /// As many as the sort has registers.
    private(set) var parts: [Part]

    public static var sort: RecordSort { W.sort }
    static var registers: [Register] {
        if case .merged(let registers) = W.sort.rule { return registers }
        return []
    }

    init() { parts = Array(repeating: Part(), count: Self.registers.count) }

    init(_ change: W.Change, at time: WallTime) {
        self.init()
        take(change, at: time)
    }

    /// What readers are told: nil where nothing is asked for.
    var wish: W? { isTombstone ? nil : W(parts: parts.map(\.value)) }

    public var isTombstone: Bool { parts.allSatisfy(\.value.isNull) }
    public var lastStamp: WallTime { parts.map(\.at).max() ?? StampTime.never }

    public var stampSum: UInt64 {
        parts.reduce(0) { StampSum.add($0, UInt64(clamping: $1.at.milliseconds)) }
    }

    /// When something that is asked for at `now` is: later than all that is here, however the clock was set since.
    func next(at now: WallTime) -> WallTime { max(now, lastStamp + .milliseconds(1)) }

    /// Its ends are told by a clock that shows `span` less than that of all ends.
    mutating func take(
        _ change: W.Change,
        at time: WallTime,
        endingLater span: Nanoseconds = .zero
    ) {
        for (place, value) in zip(parts.indices, W.parts(of: change)) {
            guard let value else { continue }
            let shifted = Self.registers[place].shifting(value, by: span)
            take(Part(value: shifted, at: time), at: place)
        }
    }

    /// Of two that were asked for at one moment the one that comes later holds.
    private mutating func take(_ part: Part, at place: Int) {
        if parts[place].at <= part.at { parts[place] = part }
    }

    public mutating func merge(_ other: Asked) {
        for place in parts.indices { take(other.parts[place], at: place) }
    }

    /// The same, stamped by a clock that shows `span` more. Its ends are told by another one.
    func stamped(later span: Nanoseconds) -> Asked {
        var record = self
        for place in parts.indices where parts[place].at != StampTime.never {
            record.parts[place].at = parts[place].at + span
        }
        return record
    }

    /// The same ends by a clock that shows `span` more.
    func ending(later span: Nanoseconds) -> Asked {
        if span == .zero { return self }
        var record = self
        for (place, register) in zip(parts.indices, Self.registers) {
            record.parts[place].value = register.shifting(parts[place].value, by: span)
        }
        return record
    }

    /// Nothing of it later than `now`.
    func asked(by now: WallTime) -> Asked {
        var record = self
        for place in parts.indices { record.parts[place].at = min(parts[place].at, now) }
        return record
    }

    /// Whether `change` asks for nothing but what was asked for before.
    func holds(_ change: W.Change) -> Bool {
        zip(parts, W.parts(of: change)).allSatisfy { part, value in
            value.map { $0 == part.value && part.at != StampTime.never } ?? true
        }
    }

    /// Has something later than `other`.
    func isAhead(of other: Asked) -> Bool {
        zip(parts, other.parts).contains { $0.at > $1.at }
    }

    public func isOver(at now: WallTime, keeping retention: Nanoseconds) -> Bool {
        let ends = zip(parts, Self.registers).map { $1.end(of: $0.value) }
        let holds = zip(parts, ends).contains { part, end in
            !part.value.isNull && end.map { now < $0 } ?? true
        }
        if holds { return false }
        if retention == .zero { return true }
        return (parts.map { $0.at } + ends.compactMap { $0 }).allSatisfy { $0 + retention < now }
    }

    /// It is over at some time of day.
    var hasEnd: Bool {
        zip(parts, Self.registers).contains { !$0.value.isNull && $1.end(of: $0.value) != nil }
    }

    public static func change(
        _ record: Asked?,
        of key: W.Key,
        later span: Nanoseconds
    ) -> (any StoreChange)? {
        let record = span == .zero ? record : record?.stamped(later: span)
        let stamps = record?.parts.map { $0.at == StampTime.never ? nil : $0.at }
        return Asking<W>(key, record?.wish, sinces: stamps ?? [])
    }
}

/// Times at which something was asked for.
enum StampTime {
    /// What was written by hand may have none: whatever is asked for next is later.
    static let never = WallTime(milliseconds: 0)
}

// MARK: At rest

extension Asked {
    public var json: JSON {
        var members: [JSON.Member] = []
        for part in parts { members += part.value.members ?? [] }
        for (part, register) in zip(parts, Self.registers) {
            members.append(.init(register.stamp, .integer(part.at.milliseconds)))
        }
        // What versions before there were two registers read.
        members.append(.init("set_at", .integer(lastStamp.milliseconds)))
        return .object(members)
    }

    public static func read(_ json: JSON, of key: W.Key) -> Asked? { Asked(json: json) }

    init?(json: JSON) {
        guard json.members != nil else { return nil }
        var read: [JSON] = []
        for register in Self.registers {
            guard let value = register.value(in: json) else { return nil }
            read.append(value)
        }
        if !read.allSatisfy(\.isNull) {
            guard let wish = W(parts: read) else { return nil }
            read = wish.parts
        }
        self.init()
        for (place, register) in zip(parts.indices, Self.registers) {
            guard let at = Self.time(json[register.stamp] ?? json["set_at"]) else { return nil }
            parts[place] = Part(value: read[place], at: at)
        }
    }

    /// Written by hand, it may say nothing of when: then whatever is asked for next is later.
    private static func time(_ json: JSON?) -> WallTime? {
        guard let json, !json.isNull else { return StampTime.never }
        return json.integer.flatMap(Believable.stamp)
    }
}

extension Register {
    /// The members that are this register's: null where it is lifted, nil where its end is no time.
    fileprivate func value(in json: JSON) -> JSON? {
        if let end, let time = json[end], !time.isNull,
            time.integer.flatMap(Believable.stamp) == nil
        {
            return nil
        }
        guard let first = json[name], !first.isNull else { return .null }
        return JSON.object(members.map { JSON.Member($0, json[$0] ?? .null) }).withoutNulls()
    }

    func end(of value: JSON) -> WallTime? {
        end.flatMap { value[$0]?.integer }.map { WallTime(milliseconds: $0) }
    }

    /// The same end by a clock that shows `span` more.
    func shifting(_ value: JSON, by span: Nanoseconds) -> JSON {
        guard let end, let time = self.end(of: value), let members = value.members else {
            return value
        }
        return .object(
            members.map { member in
                member.key == end
                    ? JSON.Member(end, .integer((time + span).milliseconds)) : member
            }
        )
    }
}

// MARK: As the script takes it

/// What shall be asked for otherwise, by register.
struct AskedChange {
    private let members: [JSON.Member]

    /// Now, where `at` is nil.
    init<W: Wish>(
        _ change: W.Change,
        of wish: W.Type,
        endingLater span: Nanoseconds = .zero,
        at time: WallTime? = nil
    ) {
        members = zip(Asked<W>.registers, W.parts(of: change)).compactMap { register, value in
            value.map { Self.member(register, register.shifting($0, by: span), at: time) }
        }
    }

    /// Everything, each at the time at which it was asked for.
    init<W: Wish>(whole record: Asked<W>) {
        members = zip(Asked<W>.registers, record.parts).map { register, part in
            Self.member(register, part.value, at: part.at)
        }
    }

    private static func member(_ register: Register, _ value: JSON, at: WallTime?) -> JSON.Member {
        let stamp = at.map { [JSON.Member("at", .integer($0.milliseconds))] } ?? []
        return JSON.Member(register.name, .object((value.members ?? []) + stamp))
    }

    var json: JSON { .object(members) }
}
