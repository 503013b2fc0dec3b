// What do agents and the store say to one another? Calls of the five scripts and their answers, as
// values: the shell turns them into words for Redis and back, the simulation hands them to a model.

public import Health
public import Vocabulary

/// One life of an agent, as it signs its calls.
public struct Signature: Hashable, Sendable {
    public var agent: String
    public var instance: UInt64
    /// The era as the caller knows it; zero before its first answer.
    public var era: UInt64
    /// The number of its latest beat before this call, or of the beat itself. A call that was under way
    /// when its connection broke, and arrives after a later beat, is a call of the past.
    public var count: UInt64

    public init(agent: String, instance: UInt64, era: UInt64, count: UInt64) {
        self.agent = agent
        self.instance = instance
        self.era = era
        self.count = count
    }
}

public enum FleetCall: Hashable, Sendable {
    case beat(Beat)
    case claim(roster: UInt64, [Claim])
    case publish([Publication])
    case release([Holding])
    case tell([Letter])

    /// Why a pair is claimed.
    public enum Reason: String, Hashable, Sendable, CaseIterable {
        /// The caller is its heir.
        case rank
        /// Its holder's mark stands still.
        case stale
        /// The caller probes it already.
        case keep
        /// Its holder offered it, or nobody holds it.
        case offer
    }

    /// How an agent lives.
    public enum State: String, Hashable, Sendable, CaseIterable { case working, leaving, gone }

    public struct Beat: Hashable, Sendable {
        public var state = State.working
        public var weight = 1.0
        /// How far the caller's mark is behind.
        public var lag = Nanoseconds.zero
        /// In hundredths: 0 to 100, and from 50 on it withholds.
        public var doubt = 0
        /// Most of what it probes fell silent.
        public var isSilent = false
        /// The number of the roster that the caller has.
        public var roster: UInt64 = 0
        /// What people want to know of it, as JSON.
        public var about = ""
        /// Whether the script finds out if this is the server that it was: the first beat of a connection
        /// does, and then one a second.
        public var asksServer = true

        public init() {}
    }

    public struct Claim: Hashable, Sendable {
        public var pair: VerdictKey
        public var reason: Reason
        /// The latest epoch of the pair that the caller knows.
        public var epoch: UInt64 = 0
        /// Whom the caller believes to hold it, and the mark that it saw of that one.
        public var holder = ""
        public var mark = WallTime(milliseconds: 0)

        public init(_ pair: VerdictKey, _ reason: Reason) {
            self.pair = pair
            self.reason = reason
        }
    }

    public struct Holding: Hashable, Sendable {
        public var pair: VerdictKey
        public var epoch: UInt64

        public init(pair: VerdictKey, epoch: UInt64) {
            self.pair = pair
            self.epoch = epoch
        }
    }

    public struct Publication: Hashable, Sendable {
        public var pair: VerdictKey
        public var epoch: UInt64
        public var sequence: UInt64
        /// Put in by whoever performs the call: the newest there is then.
        public var verdict: Verdict?
        /// It is what the caller finds for as long as its mark moves on, and not only until it expires.
        public var isVouched = false

        public init(pair: VerdictKey, epoch: UInt64, sequence: UInt64) {
            self.pair = pair
            self.epoch = epoch
            self.sequence = sequence
        }
    }

    public struct Letter: Hashable, Sendable {
        public var to: String
        public var words: FleetHint

        public init(to: String, _ words: FleetHint) {
            self.to = to
            self.words = words
        }
    }
}

/// What one agent hears from another, or from a script. It may be lost, late, or come twice.
public enum FleetHint: Hashable, Sendable {
    /// Somebody else holds the pair from then on.
    case ceded(VerdictKey, epoch: UInt64, from: WallTime, by: String)
    /// Its holder would rather not hold it.
    case offered(VerdictKey, epoch: UInt64, by: String)
    case asked(VerdictKey, Ask)
    case voted(VerdictKey, Vote)

    /// Of the claim that it is about.
    var epoch: UInt64 {
        switch self {
        case .ceded(_, let epoch, _, _), .offered(_, let epoch, _): epoch
        case .asked(_, let ask): ask.epoch
        case .voted(_, let vote): vote.epoch
        }
    }
}

/// What a script answered.
public enum FleetReply: Hashable, Sendable {
    case refused(Refusal)
    case beaten(BeatAnswer)
    case claimed(era: UInt64, at: WallTime, [ClaimAnswer])
    case published([PublishAnswer])
    /// Of a release or of telling: how many.
    case done(Int)

    /// The whole call was refused, and nothing written.
    public enum Refusal: Hashable, Sendable {
        /// The state in the store is of a newer format.
        case format(Int)
        /// The call is of another era than the store.
        case era(UInt64)
        /// The caller's lease is over, or was never there.
        case lease
        /// The roster has another number by now.
        case roster(UInt64)
        /// Another instance of this agent has the lease until then.
        case taken(until: WallTime)
        /// This instance's lease ended.
        case expired
        /// This beat was counted already.
        case twin
    }

    public struct BeatAnswer: Hashable, Sendable {
        public var era: UInt64
        public var time: WallTime
        public var isMember: Bool
        public var roster: UInt64
        /// Nil where the caller has this roster already.
        public var members: [RosterMember]?
        /// Marks of members that are late.
        public var late: [Late]
        /// Who doubts, and whether because most of what it probes fell silent.
        public var doubting: [Doubting]
        /// How many are in the roster.
        public var size: Int

        public struct Late: Hashable, Sendable {
            public var agent: String
            public var mark: WallTime

            public init(agent: String, mark: WallTime) {
                self.agent = agent
                self.mark = mark
            }
        }

        public struct Doubting: Hashable, Sendable {
            public var agent: String
            public var isSilent: Bool

            public init(agent: String, isSilent: Bool) {
                self.agent = agent
                self.isSilent = isSilent
            }
        }

        public init(
            era: UInt64,
            time: WallTime,
            isMember: Bool,
            roster: UInt64,
            members: [RosterMember]?,
            late: [Late],
            doubting: [Doubting],
            size: Int
        ) {
            self.era = era
            self.time = time
            self.isMember = isMember
            self.roster = roster
            self.members = members
            self.late = late
            self.doubting = doubting
            self.size = size
        }
    }

    public enum ClaimAnswer: Hashable, Sendable {
        /// With the verdict that the pair has, if it has one. Of the slots from `begun` on nobody is known to have begun
        /// one: where that lies before now, its holder before died, was late or gave it back.
        case granted(epoch: UInt64, from: WallTime, begun: WallTime, Verdict?)
        /// Somebody else holds it.
        case held(by: String, epoch: UInt64)
        /// Its holder's mark moved on.
        case fresh
        /// The caller is not in the roster yet.
        case joining
        /// In a new era, first those who probe already.
        case frozen
    }

    public enum PublishAnswer: Hashable, Sendable {
        case written
        /// Somebody else holds it, or wrote it under a later epoch: then by `writer`, who may know no claims. That is empty
        /// where the word that lies there is no later one.
        case held(by: String, epoch: UInt64, writer: String)
        /// This one, or a later one, is there already.
        case known
    }
}
