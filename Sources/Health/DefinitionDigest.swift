// Do two agents define the same? One number says so: the same in every process that has the same
// definition, wherever in a file it stands, and in whatever order.

import Vocabulary

extension PeerDefinition {
    public var digest: UInt64 {
        var hash = StableHash()
        hash.combine(id)
        hash.combine(address.description)
        hash.combine(weight)
        hash.combine(isBackup)
        hash.combine(isDisabled)
        hash.combine(maxFails)
        hash.combine(UInt64(bitPattern: failTimeout.count))
        hash.combine(maxConnections ?? -1)
        hash.combine(zone ?? "")
        return hash.value
    }
}

extension UpstreamDefinition {
    /// Of the upstream itself. Those of its peers and monitors are added.
    public var ownDigest: UInt64 {
        var hash = StableHash()
        hash.combine(name)
        hash.combine(balance.name)
        hash.combine(Setting(.map(balance.settings), at: balance.position).content)
        hash.combine(UInt64(bitPattern: slowStart.count))
        hash.combine(panicThreshold.bitPattern)
        hash.combine(onDown?.rawValue ?? "")
        hash.combine(allDown.rawValue)
        hash.combine(trying.digest)
        hash.combine(eject.digest)
        hash.combine(queue.size)
        hash.combine(UInt64(bitPattern: queue.timeout.count))
        hash.combine(hedge?.digest ?? 0)
        hash.combine(isLenient)
        hash.combine(Int(sourceAnswer ?? 0))
        hash.combine(sticky?.cookie ?? "")
        hash.combine(sticky?.secure.rawValue ?? "")
        hash.combine(sticky?.sameSite.rawValue ?? "")
        return hash.value
    }
}

extension TryingDefinition {
    var digest: UInt64 {
        var hash = StableHash()
        hash.combine(UInt64(occasions.rawValue))
        hash.combine(statuses.map { "\($0)" }.joined(separator: " "))
        hash.combine(retries)
        hash.combine(budgetShare.bitPattern)
        hash.combine(budgetMin)
        hash.combine(key ?? "")
        hash.combine(reuse.rawValue)
        return hash.value
    }
}

extension HedgeDefinition {
    var digest: UInt64 {
        var hash = StableHash()
        switch after {
        case .share(let share):
            hash.combine("share")
            hash.combine(share.bitPattern)
        case .time(let time):
            hash.combine("time")
            hash.combine(UInt64(bitPattern: time.count))
        }
        hash.combine(budget.bitPattern)
        return hash.value
    }
}

extension EjectDefinition {
    var digest: UInt64 {
        var hash = StableHash()
        hash.combine(isOff)
        hash.combine(failures)
        hash.combine(rate.above.bitPattern)
        hash.combine(rate.minRequests)
        for span in [rate.window, silence, time, maxTime] {
            hash.combine(UInt64(bitPattern: span.count))
        }
        hash.combine(maxShare.bitPattern)
        return hash.value
    }
}

extension StableHash {
    fileprivate mutating func combine(_ number: Int) { combine(UInt64(bitPattern: Int64(number))) }
    fileprivate mutating func combine(_ flag: Bool) { combine(UInt64(flag ? 1 : 0)) }
}
