// Who shares the work now? What the store's answer to a beat says of it.

/// One that takes part: an agent with the instance it had when it came in.
public struct RosterMember: Hashable, Sendable {
    public var id: String
    public var instance: UInt64
    public var weight: Double

    public init(id: String, instance: UInt64, weight: Double) {
        self.id = id
        self.instance = instance
        self.weight = weight
    }
}

/// The members and the number that they have together: another number, other members.
public struct Roster: Hashable, Sendable {
    public var number: UInt64
    public var members: [RosterMember]

    public init(number: UInt64, members: [RosterMember]) {
        self.number = number
        self.members = members
    }

    public static let none = Roster(number: 0, members: [])
}
