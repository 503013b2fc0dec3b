// Who may have how many descriptors? Whoever takes the last one stops all others from answering, so
// each part of the process has a share of its own, by name, that nobody else can use up. Pure.

import Glibc

public struct DescriptorBudget: Hashable, Sendable {
    /// As metrics and log call them.
    public enum Owner: String, Sendable, CaseIterable {
        case files, store
        case names = "dns"
        case admin
        case agentCheck = "agent-check"
        case probes, proxy
    }

    /// What the process may open.
    public let limit: Int
    /// Log, state files, configuration, the loops' own, listeners.
    public let files: Int
    public let store: Int
    /// Sockets to name servers.
    public let names: Int
    public let admin: Int
    public let agentCheck: Int
    public let probes: Int
    /// Clients, and connections to peers.
    public let proxy: Int

    /// With fewer there is not enough for each to do its work.
    public static let limitMin = 96
    /// With fewer the shares are so small that people should know.
    public static let limitTight = 1_024

    private static let filesShare = 32
    private static let storeShare = 4
    private static let namesShare = 8
    private static let adminMax = 256
    private static let agentCheckMax = 4_096
    private static let probesMax = 2_048
    /// A probe holds a descriptor, and for moments or by its kind another.
    public static let perProbe = 2

    /// Nil when the limit is too small to share out.
    public init?(limit: Int) {
        guard limit >= Self.limitMin else { return nil }
        self.limit = limit
        files = Self.filesShare
        store = Self.storeShare
        names = Self.namesShare
        let rest = limit - files - store - names
        admin = min(rest / 8, Self.adminMax)
        agentCheck = min(rest / 8, Self.agentCheckMax)
        probes = min(rest / 4, Self.probesMax)
        proxy = rest - admin - agentCheck - probes
    }

    /// What this process may open, shared out; nil when that is too little.
    public static func ofThisProcess() -> DescriptorBudget? {
        DescriptorBudget(limit: limitOfThisProcess())
    }

    public static func limitOfThisProcess() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return limitTight
        }
        // "No limit" is the largest number there is; the kernel's own is far below.
        return Int(clamping: min(limit.rlim_cur, 1 << 30))
    }

    /// Each share with its owner.
    public var shares: [(owner: Owner, count: Int)] { Owner.allCases.map { ($0, share(of: $0)) } }

    public func share(of owner: Owner) -> Int {
        switch owner {
        case .files: files
        case .store: store
        case .names: names
        case .admin: admin
        case .agentCheck: agentCheck
        case .probes: probes
        case .proxy: proxy
        }
    }

    /// What to do for an owner whose share is used up. Of a share that is as large as it may be, a higher
    /// limit makes no more.
    public func remedy(for owner: Owner) -> String {
        let isWhole =
            switch owner {
            case .admin: admin == Self.adminMax
            case .agentCheck: agentCheck == Self.agentCheckMax
            case .probes: probes == Self.probesMax
            case .files, .store, .names, .proxy: false
            }
        if isWhole { return "that is the most that \(owner.rawValue) may have" }
        return "raise the limit of open files (LimitNOFILE, ulimit -n), which is \(limit)"
    }

    public var probesInFlight: Int { probes / Self.perProbe }

    /// What to tell when the limit is small; nil when it is not.
    public var warning: String? {
        if limit >= Self.limitTight { return nil }
        let kept = limit - proxy - probes
        return "of \(limit) descriptors \(kept) are kept for admin, agent-check, store, names and "
            + "files; at most \(probesInFlight) probes run at once, and the proxy has \(proxy), two a "
            + "client. Raise the limit (LimitNOFILE, ulimit -n) to \(Self.limitTight) or more"
    }

    public static func refusal(limit: Int) -> String {
        "the limit of open files is \(limit), expected at least \(limitMin): raise it "
            + "(LimitNOFILE, ulimit -n)"
    }
}
