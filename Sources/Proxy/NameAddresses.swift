// Where does the proxy connect when a peer's address is a name? To the first of its addresses that no
// monitor of any agent finds down, in the order of DNS; to the first of all where that leaves none.

import EventLoop
import Vocabulary

/// The addresses that names had last.
struct NameAddresses {
    private var known: [Address: [Address]] = [:]

    /// The rule. `down` are texts, as they come with verdicts.
    static func pick(among addresses: [Address], avoiding down: [String]) -> Address? {
        if down.isEmpty { return addresses.first }
        return addresses.first { !down.contains($0.description) } ?? addresses.first
    }

    /// Nil while a name has never been resolved.
    func address(of address: Address, avoiding down: [String]) -> SocketAddress? {
        if let literal = SocketAddress(address) { return literal }
        guard let found = known[address] else { return nil }
        return Self.pick(among: found, avoiding: down).flatMap { SocketAddress($0) }
    }

    func isKnown(_ name: Address) -> Bool { known[name] != nil }

    /// Returns whether the name had others, or in another order. None found changes nothing.
    mutating func set(_ name: Address, _ found: [Address]) -> Bool {
        let usable = found.filter { SocketAddress($0) != nil }
        if usable.isEmpty || known[name] == usable { return false }
        known[name] = usable
        return true
    }

    /// Forgets the names that nobody has any more.
    mutating func keep(_ isUsed: (Address) -> Bool) {
        known = known.filter { isUsed($0.key) }
    }
}
