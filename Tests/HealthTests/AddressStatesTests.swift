// What do a name's addresses mean together? One that lives keeps the peer in service, one that is
// dead is told, and each is counted by itself.

import Health
import Testing

@Suite struct AddressStatesTests {
    private static let thresholds = Thresholds(rise: 2, fall: 2)
    private static let names = ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"]

    /// `+` pass, `~` warn, `-` fail, `!` fail at once, `?` neutral; one letter an address.
    private static func found(_ letters: String) -> [(address: String, outcome: Outcome)] {
        zip(names, letters).map { name, letter in
            switch letter {
            case "+": (name, Outcome(.pass, .layer7OK))
            case "~": (name, Outcome(.warn, .layer7OK, message: "slow"))
            case "-": (name, Outcome(.fail, .layer4Connect, message: "Connection refused"))
            case "!": (name, Outcome(.fail, .layer7Status, isImmediate: true))
            default: (name, Outcome(.neutral, .socketError))
            }
        }
    }

    /// The letters of what the peer's outcomes were, one a round; `w` is a warning of ours.
    private static func chart(_ rounds: [String], _ states: inout AddressStates) -> String {
        String(
            rounds.map { round in
                let outcome = states.take(found(round), thresholds: thresholds)
                return switch outcome.verdict {
                case .pass: "+"
                case .warn: outcome.message.contains("down") ? "w" : "~"
                case .fail: outcome.isImmediate ? "!" : "-"
                case .neutral: "?"
                }
            }
        )
    }

    @Test(arguments: [
        // The first outcome of an address decides at once, as it does for a peer.
        (["++", "+-"], "++", "UU"),
        (["++", "+-", "+-"], "++w", "UD"),
        (["+-", "+-"], "ww", "UD"),
        (["+-", "++", "++"], "ww+", "UU"),
        (["++", "--", "--", "++", "++"], "+--w+", "UU"),
        (["++", "!-"], "+-", "DU"),
        (["++", "!!"], "+!", "DD"),
        (["~+", "~-"], "+~", "UU"),
        (["~~"], "~", "UU"),
        (["++", "?-", "??"], "+-?", "UU"),
        (["+++", "+--", "+--"], "++w", "UDD"),
    ])
    func `the best answer speaks, and what is down is told`(
        rounds: [String],
        outcomes: String,
        status: String
    ) {
        var states = AddressStates()
        #expect(Self.chart(rounds, &states) == outcomes)
        #expect(String(states.states.map { $0.isDown ? "D" : "U" }) == status)
    }

    @Test func `who is down, and why, stands in the message`() {
        var states = AddressStates()
        let outcome = states.take(Self.found("+-+"), thresholds: Self.thresholds)
        #expect(
            outcome.message
                == "1 of 3 addresses down: 192.0.2.2:80 L4CON Connection refused"
        )
        #expect(states.down == ["192.0.2.2:80"])
        let none = states.take(Self.found("---"), thresholds: Self.thresholds)
        #expect(none.message == "each of 3 addresses fails: Connection refused")
    }

    @Test func `an address that the name no longer has is forgotten`() {
        var states = AddressStates()
        _ = states.take(Self.found("+-"), thresholds: Self.thresholds)
        let outcome = states.take(Self.found("+"), thresholds: Self.thresholds)
        #expect(outcome.verdict == .pass)
        #expect(outcome.message == "")
        #expect(states.states.map(\.address) == ["192.0.2.1:80"])
    }

    @Test func `other thresholds keep the state`() {
        var states = AddressStates()
        _ = states.take(Self.found("+-"), thresholds: Self.thresholds)
        _ = states.take(Self.found("++"), thresholds: Thresholds(rise: 5, fall: 5))
        #expect(states.down == ["192.0.2.2:80"], "one pass of five")
    }

    @Test func `which are down is told the same however DNS turns them`() {
        var states = AddressStates()
        let found = Self.found("---")
        _ = states.take(found, thresholds: Self.thresholds)
        let before = states.down
        _ = states.take(found.reversed(), thresholds: Self.thresholds)
        #expect(states.down == before)
        #expect(before == ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"])
    }

    @Test func `what was down before a restart has to come back as ever`() {
        var states = AddressStates(resuming: ["192.0.2.2:80"], thresholds: Self.thresholds)
        let outcome = states.take(Self.found("+?"), thresholds: Self.thresholds)
        #expect(outcome.message == "1 of 2 addresses down: 192.0.2.2:80 UNK found down before")
        _ = states.take(Self.found("++"), thresholds: Self.thresholds)
        #expect(states.down == ["192.0.2.2:80"], "1 of 2 passes")
        _ = states.take(Self.found("++"), thresholds: Self.thresholds)
        #expect(states.down == [])
    }
}
