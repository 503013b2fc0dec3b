// Does a fleet hold together, whatever happens? `muster-simulate SEED… [--agents N] [--peers N] [--minutes N]`
// runs whole fleets under virtual time and prints `seed N: ok`, or a story and exits with 2.

import Glibc
import Simulation

var first: UInt64 = 1
var count: UInt64 = 1
var agents: Int?
var peers: Int?
var minutes = 5
var shrinks = true
var isQuiet = false
var endsAtFirst = false
var lines = 60
var countsShares = false

func usage() -> Never {
    print(
        """
        usage: muster-simulate [--seed N] [--seeds N] [--agents N] [--peers N] [--minutes N]
                               [--no-shrinking] [--lines N] [--quiet] [--until-failure]
        Runs one seed, or so many from it on: agents, a store, targets and readers in one thread under
        virtual time, and everything that can go wrong. Prints 'seed N: ok', or a story and exits with 2.
               muster-simulate --shares [--agents N] [--peers N]
        Counts what moves when one of so many agents is lost.
        """
    )
    exit(1)
}

var words = CommandLine.arguments.dropFirst()
while let word = words.popFirst() {
    func number() -> Int {
        guard let text = words.popFirst(), let number = Int(text), number > 0 else { usage() }
        return number
    }
    switch word {
    case "--seed": first = UInt64(number())
    case "--seeds": count = UInt64(number())
    case "--agents": agents = number()
    case "--peers": peers = number()
    case "--minutes": minutes = number()
    case "--no-shrinking": shrinks = false
    case "--quiet": isQuiet = true
    case "--until-failure": endsAtFirst = true
    case "--shares": countsShares = true
    case "--lines": lines = number()
    default: usage()
    }
}

if countsShares {
    let shares = Shares(agents: agents ?? 1_000, pairs: peers ?? 100_000, losses: 20)
    print(shares.text)
    exit(shares.needless == 0 ? 0 : 2)
}

var failed = 0
for seed in first..<first + count {
    let setting = Simulation.setting(seed: seed, agents: agents, targets: peers, minutes: minutes)
    let report = try Simulation.run(seed: seed, setting, shrinks: shrinks)
    if !report.isFine { failed += 1 }
    defer { if endsAtFirst && failed > 0 { exit(2) } }
    if !isQuiet || !report.isFine { print(report.text(last: lines)) }
}
if count > 1 { print("\(count) seeds, \(failed) failed") }
exit(failed == 0 ? 0 : 2)
