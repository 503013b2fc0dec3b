// Which sorts of records are there? One line each. What is in files stays in them: a number of the ledger
// is never given to another sort.

import Health

enum Records {
    static let all: [any Record.Type] = [
        Verdict.self,
        Asked<Intent>.self,
        HeardSign.self,
        Asked<LiveDefinition>.self,
    ]
}

/// Whose are the records of the ledger?
package enum LedgerKind {
    static let intent: UInt8 = 1
    static let event: UInt8 = 2
    static let eventMark: UInt8 = 3
    static let definition: UInt8 = 4
    /// What is still to be told to a receiver, or how it knows a peer; and that it was told.
    package static let notice: UInt8 = 5
    package static let noticesTold: UInt8 = 6
    /// That a maintenance window has begun its work.
    package static let maintenance: UInt8 = 7
    /// Of the history, in its own file.
    static let turn: UInt8 = 8
    /// Without percentiles: only read.
    static let shortBuckets: UInt8 = 9
    static let probeBuckets: UInt8 = 10
}
