// What is written next, and who may be told? One job at a time is under way; everything that comes
// meanwhile goes with the next one, so a thousand records cost as many syncs as the disk can do and not
// a thousand. Pure: no disk, no clock.

import Vocabulary

struct Commits: Sendable {
    enum Job: Hashable, Sendable {
        /// To the end of the file.
        case append([LedgerRecord])
        /// The whole state, into a new file: the one there is has grown too long, or has failed.
        case rewrite
    }

    /// How many records were taken, and so the number of the last one.
    private(set) var taken: UInt64 = 0
    /// Up to here all are on the disk.
    private(set) var durable: UInt64 = 0
    private(set) var failures = 0
    /// After a failure, nothing is tried before.
    private(set) var retryAt: Instant?

    private var pending: [LedgerRecord] = []
    private var pendingBytes = 0
    /// The last record that goes with the job under way.
    private var reach: UInt64?
    private var isRewriting = false
    private var mustRewrite = true
    private var fileBytes = 0
    /// Of the file when it was last written as a whole.
    private var wholeBytes = 0

    /// How many times what it would be if written anew the file may become.
    let growth: Int

    init(growth: Int = growthMax) { self.growth = growth }

    /// The file may grow to this, or to four times what it would be if written anew.
    static let fileBytesMin = 1 << 20
    static let growthMax = 4
    /// More that waits is not kept one by one: the state is written as a whole.
    static let pendingBytesMax = 4 << 20
    static let backoffMin = Nanoseconds.seconds(1)
    static let backoffMax = Nanoseconds.seconds(30)

    var isBusy: Bool { reach != nil }
    /// There is something to write.
    var isDirty: Bool { mustRewrite || !pending.isEmpty }

    /// Takes a record whose effect is in the state already, and returns its number.
    mutating func take(_ record: LedgerRecord) -> UInt64 {
        taken += 1
        // Who writes the whole state writes this too.
        if mustRewrite { return taken }
        pending.append(record)
        pendingBytes += Frame.size(of: record)
        if pendingBytes > Self.pendingBytesMax { rewrite() }
        return taken
    }

    /// The state has changed in another way than by a record.
    mutating func rewrite() {
        mustRewrite = true
        pending = []
        pendingBytes = 0
    }

    /// What to do now, if anything. Ends in `wrote` or `failed`.
    mutating func next(at now: Instant) -> Job? {
        guard reach == nil, isDirty else { return nil }
        if let retryAt, now < retryAt { return nil }
        let limit = max(Self.fileBytesMin, wholeBytes * growth)
        if fileBytes + pendingBytes > limit { rewrite() }
        reach = taken
        isRewriting = mustRewrite
        mustRewrite = false
        let records = pending
        pending = []
        pendingBytes = 0
        return isRewriting ? .rewrite : .append(records)
    }

    /// All of the job is on the disk, in a file that is now so long.
    mutating func wrote(bytes: Int) {
        durable = reach ?? durable
        reach = nil
        fileBytes = bytes
        if isRewriting { wholeBytes = bytes }
        failures = 0
        retryAt = nil
    }

    /// Nobody knows what is on the disk. Records are not tried again: the state holds them, and it is
    /// written as a whole, at once. Returns whether that has failed too: then whoever waits is told,
    /// and the next attempt comes later.
    mutating func failed(at now: Instant) -> Bool {
        let wasAppend = reach != nil && !isRewriting
        reach = nil
        rewrite()
        if wasAppend { return false }
        let doublings = Int64(min(failures, 5))
        failures += 1
        let pause = min(Self.backoffMin * (1 << doublings), Self.backoffMax)
        retryAt = now + pause
        return true
    }

    /// The next attempt is the last one, and waits for nothing.
    mutating func hurry() { retryAt = nil }
}
