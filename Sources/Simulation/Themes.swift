// Which faults come together? A mix of everything reaches much, and seldom twice the same thing within a second. So every
// second seed has a theme: the few faults that make one group of rules matter, again and again, on a fleet that is
// well otherwise.

import Vocabulary

enum Theme: CaseIterable {
    /// Stops shorter and longer than a lease, with probes in flight.
    case stops
    /// Agents that come and go within a second, and hear of it late.
    case crowd
    /// A store that takes no writes, or is away: what was known stays known.
    case absence
    /// A store that loses its state again and again, and whose clock is set.
    case eras
    /// Agents that cannot see, and targets that fall meanwhile.
    case blindness
    /// Files that are not the same everywhere.
    case catalogues
    /// Whoever probes is gone, and who only reads is left.
    case desertion
    /// One fault at a time, and long enough to be over it: bounds of time hold there to the letter.
    case quiet
    /// Answers and letters overtake one another.
    case overtaking

    /// Nil is the mix of everything.
    static func of(seed: UInt64) -> Theme? {
        if seed.isMultiple(of: 2) { return nil }
        return allCases[Int(seed / 2 % UInt64(allCases.count))]
    }
}

/// Draws the faults of one world.
struct FaultDraw {
    private var dice: Dice
    private let agents: Int
    /// Of those so many probe; the rest only read.
    private let probing: Int
    private let targets: Int
    private let end: Int64
    private var time: Int64 = 0
    private(set) var faults: [Fault] = []

    init(_ dice: Dice, _ setting: WorldSetting) {
        self.dice = dice
        agents = setting.agents
        probing = setting.agents - setting.readers
        targets = setting.targets
        end = setting.faultsUntil
    }

    private mutating func number(_ range: ClosedRange<Int64>) -> Int64 {
        Int64.random(in: range, using: &dice)
    }
    private mutating func agent() -> Int { Int(number(0...Int64(agents - 1))) }
    private mutating func prober() -> Int { Int(number(0...Int64(probing - 1))) }
    private mutating func target() -> Int { Int(number(0...Int64(targets - 1))) }
    private mutating func isOne(in count: Int64) -> Bool { number(1...count) == 1 }
    /// So many different ones of those that probe.
    private mutating func probers(_ count: Int) -> [Int] {
        Array(Array(0..<probing).shuffled(using: &dice).prefix(count))
    }

    private mutating func add(_ kind: Fault.Kind, for length: Int64, after span: Int64 = 0) {
        let at = time + span
        if at >= end - 1_000 { return }
        faults.append(Fault(at: at, length: min(length, end - at), kind: kind))
    }

    /// All faults until the end, in the order of time.
    mutating func draw(_ theme: Theme?) -> [Fault] {
        drawFlaky(theme)
        time = number(6_000...15_000)
        while time < end - 1_000 {
            switch theme {
            case nil: drawAny()
            case .stops: drawStop()
            case .crowd: drawCrowd()
            case .absence: drawAbsence()
            case .eras: drawEra()
            case .blindness: drawBlindness()
            case .catalogues: drawCatalogue()
            case .desertion: drawDesertion()
            case .quiet: drawQuiet()
            case .overtaking: drawOvertaking()
            }
        }
        return faults.sorted { $0.at < $1.at }
    }

    /// Some targets are never quite well: there is always something to say of them.
    private mutating func drawFlaky(_ theme: Theme?) {
        let share: Int64 = theme == .stops || theme == .overtaking ? 2 : 5
        for target in 0..<targets where number(0...share) == 0 {
            let refusals = Int(number(5...60))
            faults.append(
                Fault(at: 1, length: end - 1, kind: .targetFlaky(target, share: refusals))
            )
        }
    }

    // MARK: Of everything

    private mutating func drawAny() {
        var length = number(200...12_000)
        let kind: Kind
        switch number(0...103) {
        case 0..<10: kind = .crash(agent: agent())
        case 10..<22: kind = .pause(agent: agent())
        case 22..<28: kind = .leave(agent: agent())
        case 28..<38: kind = .cutFromStore(agent: agent())
        case 38..<44: kind = .cutFromTargets(agent: agent())
        case 44..<52: kind = .cutFromTarget(agent: agent(), target: target())
        case 52..<62: kind = .targetDown(target())
        case 62..<70: kind = .targetSilent(target())
        case 70..<72: kind = .manySilent(share: Int(number(30...100)))
        case 72..<75: kind = .storeStalls
        case 75..<77:
            kind = .storeRefuses
            length = number(200...20_000)
        case 77..<81: kind = .storeGone(keeps: isOne(in: 2))
        case 81..<86:
            kind = .failover(lost: number(0...1_500))
            length = number(50...1_000)
        case 86..<89:
            kind = .flush
            length = 0
        case 89..<92:
            kind = .storeClock(by: span(5_000))
            length = 0
        case 92..<94: kind = .badNetwork(share: Int(number(1...15)))
        case 94: kind = .twin(agent: agent())
        case 95..<97: kind = .agentClock(agent: agent(), by: span(3_000))
        case 97..<100: kind = .otherCatalogue(agent: agent(), target: target())
        case 100..<102: kind = .slowReading(agent: agent())
        default: kind = .slowCalls(agent: agent())
        }
        if case .leave = kind { length = max(length, 3_000) }
        add(kind, for: length)
        time += isOne(in: 3) ? number(0...2_000) : number(2_000...20_000)
    }

    private typealias Kind = Fault.Kind

    /// By how much a clock is set: a little, or so much that nothing of it can be overlooked.
    private mutating func span(_ little: Int64) -> Int64 {
        isOne(in: 2) ? number(-little...little) : number(-600_000...600_000)
    }

    // MARK: By theme

    private mutating func drawStop() {
        for _ in 0..<number(1...3) {
            add(.targetSilent(target()), for: number(1_000...8_000), after: number(0...1_000))
        }
        for one in probers(Int(number(1...2))) {
            // Around the lease most of all.
            let length = isOne(in: 2) ? number(2_500...3_600) : number(200...9_000)
            add(.pause(agent: one), for: length, after: number(500...2_500))
        }
        time += number(4_000...16_000)
    }

    private mutating func drawCrowd() {
        let many = probers(Int(number(2...Int64(max(probing - 1, 2)))))
        let length = number(200...6_000)
        for one in many {
            let after = number(0...1_000)
            if isOne(in: 2) {
                add(.crash(agent: one), for: length, after: after)
            } else {
                add(.leave(agent: one), for: max(length, 3_000), after: after)
            }
        }
        if isOne(in: 2) { add(.slowReading(agent: prober()), for: 2_000, after: length) }
        // One that comes and goes, and never lives for long enough to be given anything.
        if isOne(in: 3) {
            let one = prober()
            for round in Int64(1)...3 {
                add(.crash(agent: one), for: 300, after: length + 2_500 * round)
            }
        }
        time += number(6_000...20_000)
    }

    /// Whoever probes a target that falls cannot ask anybody, though all live and beat.
    private mutating func drawSilence() {
        let length = number(4_000...40_000)
        add(.storeForbids, for: length)
        add(.targetDown(target()), for: number(6_000...20_000), after: number(0...length))
        if isOne(in: 3) { add(.crash(agent: prober()), for: 4_000, after: number(0...length)) }
        time += length + number(15_000...25_000)
    }

    private mutating func drawAbsence() {
        if isOne(in: 4) { return drawSilence() }
        let length = number(500...40_000)
        switch number(0...3) {
        case 0: add(.storeStalls, for: min(length, 15_000))
        case 1: add(.storeGone(keeps: isOne(in: 2)), for: length)
        default: add(.storeRefuses, for: length)
        }
        if isOne(in: 3) { add(.targetDown(target()), for: length, after: number(0...length)) }
        // One that sees nothing meanwhile, and cannot ask anybody.
        if isOne(in: 3) {
            let span = min(length, 10_000) + number(2_000...6_000)
            add(.cutFromTargets(agent: prober()), for: span, after: max(length - 10_000, 0))
        }
        time += length + number(6_000...20_000)
    }

    private mutating func drawEra() {
        for _ in 0..<number(1...3) {
            let after = number(0...4_000)
            switch number(0...4) {
            case 0: add(.flush, for: 0, after: after)
            case 1: add(.storeGone(keeps: false), for: number(100...4_000), after: after)
            case 2: add(.storeClock(by: span(5_000)), for: 0, after: after)
            default:
                add(.failover(lost: number(0...1_500)), for: number(50...1_000), after: after)
            }
        }
        if isOne(in: 3) { add(.crash(agent: agent()), for: 3_000, after: number(0...4_000)) }
        time += number(5_000...20_000)
    }

    private mutating func drawBlindness() {
        let length = number(4_000...25_000)
        if isOne(in: 4) {
            drawHalfBlindness(for: length)
            time += length + number(15_000...25_000)
            return
        }
        if isOne(in: 4) { return drawDoubt() }
        // One alone most of all: nobody is to believe it.
        let many = isOne(in: 3) ? Int(number(1...Int64(probing))) : 1
        for one in probers(many) {
            let after = number(0...300)
            if isOne(in: 4) {
                add(.socketsFail(agent: one), for: length, after: after)
            } else {
                add(.cutFromTargets(agent: one), for: length, after: after)
            }
        }
        switch number(0...3) {
        case 0: add(.targetDown(target()), for: length, after: number(0...4_000))
        case 1:
            for _ in 0..<3 { add(.cutFromTarget(agent: prober(), target: target()), for: length) }
        case 2:
            add(.manySilent(share: Int(number(30...100))), for: length, after: number(0...2_000))
        default: break
        }
        time += length + number(4_000...25_000)
    }

    /// One does not reach a few, and all others do not reach most of the rest.
    private mutating func drawHalfBlindness(for length: Int64) {
        let few = Set((0..<3).map { _ in target() })
        let one = prober()
        for target in 0..<targets {
            if few.contains(target) {
                add(.cutFromTarget(agent: one, target: target), for: length, after: 2_500)
            } else if !isOne(in: 5) {
                for other in 0..<probing where other != one {
                    add(.cutFromTarget(agent: other, target: target), for: length)
                }
            }
        }
    }

    /// All but one were late, and doubt themselves for a while; meanwhile that one does not reach a few.
    private mutating func drawDoubt() {
        let all = probers(probing)
        let length = number(1_200...2_200)
        for other in all.dropFirst() { add(.pause(agent: other), for: length) }
        let targets = Set((0..<Int(number(2...4))).map { _ in target() })
        for target in targets.sorted() {
            let span = number(3_000...5_000)
            add(.cutFromTarget(agent: all[0], target: target), for: span, after: length + 2_000)
        }
        time += number(22_000...35_000)
    }

    /// One file after the other loses a peer, whoever was given it a moment ago next, and hardly anybody hears of it.
    private mutating func drawErosion() {
        let (target, length) = (target(), number(22_000...40_000))
        var after: Int64 = 0
        for one in probers(probing).dropFirst() {
            add(.otherCatalogue(agent: one, target: target), for: length, after: after)
            after += number(20...900)
        }
        if isOne(in: 2) { add(.badNetwork(share: Int(number(5...30))), for: after + 500) }
        time += length + number(5_000...15_000)
    }

    private mutating func drawCatalogue() {
        if isOne(in: 3) { return drawErosion() }
        let (target, length) = (target(), number(1_000...40_000))
        for one in probers(Int(number(1...Int64(probing)))) {
            // One file after the other, or all at once.
            let after = isOne(in: 2) ? 0 : number(0...5_000)
            add(.otherCatalogue(agent: one, target: target), for: length, after: after)
        }
        if isOne(in: 3) { add(.cutFromStore(agent: prober()), for: number(200...6_000)) }
        if isOne(in: 4) { add(.badNetwork(share: 20), for: 3_000) }
        time += number(5_000...25_000)
    }

    private mutating func drawDesertion() {
        let length = number(4_000...40_000)
        for one in 0..<probing {
            let after = number(0...2_000)
            if isOne(in: 3) {
                add(.pause(agent: one), for: length, after: after)
            } else {
                add(.crash(agent: one), for: length, after: after)
            }
        }
        time += length + number(15_000...30_000)
    }

    private mutating func drawQuiet() {
        switch number(0...5) {
        case 0, 1: add(.crash(agent: prober()), for: number(6_000...20_000))
        case 2: add(.pause(agent: prober()), for: number(1_000...12_000))
        case 3: add(.leave(agent: prober()), for: number(6_000...20_000))
        case 4: add(.cutFromStore(agent: prober()), for: number(1_000...12_000))
        default:
            for one in probers(2) { add(.crash(agent: one), for: number(6_000...20_000)) }
        }
        time += number(22_000...45_000)
    }

    /// Peers are back while messages are lost: what their holders write of them may not arrive, and they have no more to say.
    private mutating func drawLostWords() {
        let length = number(3_000...8_000)
        for target in Set((0..<4).map { _ in target() }).sorted() {
            add(.targetDown(target), for: length)
        }
        let span = number(1_000...2_500)
        add(.badNetwork(share: Int(number(20...50))), for: span, after: length)
        time += length + number(12_000...20_000)
    }

    private mutating func drawOvertaking() {
        if isOne(in: 3) { return drawLostWords() }
        for one in probers(Int(number(1...2))) {
            let after = number(0...1_000)
            if isOne(in: 2) {
                add(.slowReading(agent: one), for: number(500...6_000), after: after)
            } else {
                add(.slowCalls(agent: one), for: number(500...6_000), after: after)
            }
        }
        for one in probers(Int(number(1...2))) {
            let length = number(500...5_000)
            switch number(0...2) {
            case 0: add(.crash(agent: one), for: length, after: number(0...3_000))
            case 1: add(.pause(agent: one), for: length, after: number(0...3_000))
            default: add(.leave(agent: one), for: max(length, 3_000), after: number(0...3_000))
            }
        }
        time += number(2_000...9_000)
    }
}
