// Which balancers are there? Adding one is one file beside this one and one line here.

public import Health
public import Vocabulary

/// Every balancer the proxy knows.
public enum BalancerRegistry {
    private static let builtin: [Balancer.Type] = [
        ConsistentHash.self,
        FirstOfList.self,
        IPHash.self,
        LeastConnections.self,
        PeakEWMA.self,
        RandomTwo.self,
        SmoothRoundRobin.self,
        UnweightedRoundRobin.self,
    ]

    /// What others call them.
    private static let foreign: [(owner: String, words: [String: String])] = [
        (
            "nginx",
            [
                "least_conn": "least-connections", "ip_hash": "ip-hash", "hash": "consistent-hash",
                "random": "random-two", "least_time": "peak-ewma",
            ]
        ),
        (
            "HAProxy",
            [
                "roundrobin": "round-robin", "static-rr": "round-robin",
                "leastconn": "least-connections", "source": "ip-hash",
                "uri": "consistent-hash: {key: path}",
                "url_param": "consistent-hash: {key: \"query:NAME\"}",
                "hdr": "consistent-hash: {key: \"header:NAME\"}",
            ]
        ),
        (
            "Envoy",
            [
                "ROUND_ROBIN": "round-robin", "LEAST_REQUEST": "random-two", "RANDOM": "random-two",
                "RING_HASH": "consistent-hash", "MAGLEV": "consistent-hash",
            ]
        ),
        (
            "Traefik",
            ["wrr": "round-robin", "p2c": "random-two", "hrw": "ip-hash"]
        ),
    ]

    public static var names: [String] { builtin.map { $0.name } }

    /// Refuses an unknown name, and settings that the balancer does not take.
    public static func check(_ definition: BalanceDefinition, path: String) throws(SettingError) {
        _ = try make(definition, path: path)
    }

    static func make(
        _ definition: BalanceDefinition,
        path: String
    ) throws(SettingError) -> Balancer {
        guard let type = builtin.first(where: { $0.name == definition.name }) else {
            throw unknown(definition, path)
        }
        var options = Options(
            definition.settings,
            at: definition.position,
            path: "\(path).\(definition.name)"
        )
        let balancer = try type.init(&options)
        try options.finish()
        return balancer
    }

    private static func unknown(_ definition: BalanceDefinition, _ path: String) -> SettingError {
        // `hash $uri consistent`, `random two least_conn`, `hdr(x-user)`.
        let word = String(definition.name.prefix { $0 != " " && $0 != "(" })
        for (owner, words) in foreign {
            guard let ours = words[word] else { continue }
            return SettingError(
                definition.position,
                "\(path): expected one of \(names.joined(separator: ", ")), saw "
                    + "'\(definition.name)', which is \(owner)'s; did you mean '\(ours)'?"
            )
        }
        return Setting(.scalar(definition.name, isQuoted: false), at: definition.position)
            .unknownWord(definition.name, among: names, at: path)
    }
}
