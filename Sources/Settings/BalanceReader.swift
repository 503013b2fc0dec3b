// How does an upstream choose among its peers? `balance: NAME`, or `balance: {NAME: {settings}}`. The
// name and the settings belong to the proxy's balancers.

import Health
import Proxy
import Vocabulary

enum BalanceReader {
    static func read(_ section: inout Section) -> BalanceDefinition {
        section.read("balance", balance) ?? BalanceDefinition()
    }

    private static func balance(
        _ setting: Setting,
        _ path: String
    ) throws(SettingError) -> BalanceDefinition {
        let definition = try split(setting, path)
        try BalancerRegistry.check(definition, path: path)
        return definition
    }

    private static func split(
        _ setting: Setting,
        _ path: String
    ) throws(SettingError) -> BalanceDefinition {
        switch setting.value {
        case .scalar(let name, _):
            return BalanceDefinition(name: name, position: setting.position)
        case .map(let entries):
            guard let entry = entries.first, entries.count == 1 else {
                throw setting.expected("one balancer with its settings", at: path)
            }
            let name = entry.key
            guard case .map(let settings) = entry.value.value else {
                if entry.value.isNull {
                    return BalanceDefinition(name: name, position: entry.position)
                }
                throw entry.value.expected("a map", at: "\(path).\(name)")
            }
            return BalanceDefinition(name: name, settings: settings, position: entry.position)
        case .list: throw setting.expected("one balancer", at: path)
        }
    }
}
