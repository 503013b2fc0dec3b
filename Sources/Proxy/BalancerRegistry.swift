// Which balancers are there? Adding one is one file beside this one and one line here.

public import Health
public import Vocabulary

/// Every balancer the proxy knows.
public enum BalancerRegistry {
    private static let builtin: [Balancer.Type] = [
        ConsistentHash.self,
        LeastConnections.self,
        SmoothRoundRobin.self,
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
            throw Setting(.scalar(definition.name, isQuoted: false), at: definition.position)
                .unknownWord(definition.name, among: names, at: path)
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
}
