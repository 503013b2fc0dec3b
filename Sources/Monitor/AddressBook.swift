// Which addresses of a peer's name are down? Kept by pair, for those few pairs whose peer has a name,
// and asked by whoever connects to that name.

import Health
import Vocabulary

/// What the monitors of this agent know of the addresses behind names.
struct AddressBook {
    private struct Entry {
        var name: Address
        var states = AddressStates()
    }

    private var entries: [VerdictKey: Entry] = [:]

    /// Takes what a probe found, and returns what that means for the pair, and whether an address
    /// has gone down or come back.
    mutating func take(
        _ found: [(address: String, outcome: Outcome)],
        isOneMachine: Bool,
        of pair: Pair
    ) -> (outcome: Outcome, hasTurned: Bool) {
        var entry = entries[pair.key] ?? Entry(name: pair.address)
        let before = entry.states.states.filter(\.isDown).map(\.address)
        let outcome = entry.states.take(
            found,
            thresholds: pair.monitor.thresholds,
            isOneMachine: isOneMachine
        )
        entries[pair.key] = entry
        return (outcome, entry.states.states.filter(\.isDown).map(\.address) != before)
    }

    mutating func forget(_ key: VerdictKey) { entries[key] = nil }

    func isDown(_ address: String, of name: Address) -> Bool {
        entries.values.contains { $0.name == name && $0.states.isDown(address) }
    }
}
