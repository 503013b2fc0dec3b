// Whatever client, peers and clock do, in whatever order: is each request answered once or its connection
// ended, is nothing sent twice that must not be, does no byte of one answer get into another, and is
// everything given back? The real worker, on a loop whose time stands still until the story moves it.

import Dispatch
import EventLoop
import Foundation
import Glibc
import Health
import Spans
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct ExchangeSimulationTests {
    /// Every order of so many events after a request was sent.
    @Test(arguments: [("GET", false), ("POST", false), ("GET", true)])
    func `every order of a few events keeps the promises`(
        method: String,
        hedges: Bool
    ) async throws {
        let stage = try await Stage(hedges: hedges, traces: true)
        let depth = 3
        let all = Stage.Op.allCases
        var count = 1
        for _ in 0..<depth { count *= all.count }
        for number in 0..<count {
            var rest = number
            let ops = (0..<depth).map { _ in
                defer { rest /= all.count }
                return all[rest % all.count]
            }
            let play = try Play(stage, requests: [method, "GET"])
            await play.run([.clientSends] + ops)
            await play.finish()
            if let fault = play.fault {
                Issue.record("\(method) \(ops): \(fault)")
                break
            }
        }
        await stage.end()
    }

    /// What a peer says right behind its answer may not be there yet when the next request comes.
    @Test func `a connection that has rested is taken before one that has just been used`()
        async throws
    {
        let stage = try await Stage(hedges: false)
        for peer in 1..<Stage.peerCount { await stage.set(peer, isDown: true) }
        let clients = try (0..<2).map { _ in try End(to: stage.address) }
        let get = "GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        for client in clients { client.send(get) }
        await stage.settle()
        var peers: [End] = []
        while let descriptor = try? Socket.accept(stage.listeners[0]) {
            peers.append(End(descriptor.take()))
        }
        #expect(peers.count == 2)
        for peer in peers { peer.send(answer) }
        await stage.settle()
        await stage.settle()
        // One is used again, and then there is one that has just been.
        func asked() -> [Int] {
            for peer in peers { peer.pull() }
            return peers.map { $0.text.components(separatedBy: "\r\n\r\n").count - 1 }
        }
        clients[0].send(get)
        await stage.settle()
        let first = asked()
        #expect(first.sorted() == [1, 2])
        let used = first[0] == 2 ? 0 : 1
        peers[used].send(answer)
        clients[1].send(get)
        // No time passes between the two.
        for _ in 0..<2 { await stage.worker.call { _ in } }
        #expect(asked() == [2, 2])
        for end in clients + peers { end.close(reset: true) }
        await stage.settle()
        await stage.end()
    }

    @Test(arguments: 0..<12)
    func `long stories keep the promises`(seed: Int) async throws {
        let stage = try await Stage(hedges: seed >= 8, traces: seed % 2 == 1)
        for story in 0..<40 {
            var dice = Dice(seed: UInt64(seed * 1_000 + story + 1))
            let requests = (0..<5).map { _ in
                ["GET", "GET", "PUT", "POST", "POST"][Int.random(in: 0..<5, using: &dice)]
            }
            let ops = (0..<30).map { _ in
                Stage.Op.likely.randomElement(using: &dice) ?? .clientSends
            }
            let play = try Play(stage, requests: requests)
            await play.run(ops, &dice)
            await play.finish()
            if let fault = play.fault {
                Issue.record("seed \(seed) story \(story): \(fault)\n\(play.told)")
                break
            }
        }
        await stage.end()
    }
}

/// A worker with an upstream of three peers, which the story plays.
private final class Stage {
    enum Op: CaseIterable {
        /// The next piece of a request.
        case clientSends, clientEnds, clientResets
        /// The next piece of the answer on the connection that was asked last.
        case peerAnswers, peerHints, peerBabbles, peerCloses, peerResets
        /// On the one that was asked before.
        case otherAnswers
        /// Of whoever was asked last.
        case peerGoesDown, peersComeBack, timePasses

        /// Done by a socket alone.
        var isInstant: Bool {
            switch self {
            case .peerGoesDown, .peersComeBack, .timePasses: false
            default: true
            }
        }

        /// As often as lets a story go on for a while.
        static let likely: [Op] =
            [.clientSends, .clientSends, .clientSends, .peerAnswers, .peerAnswers, .peerAnswers]
            + [.peerAnswers, .peerHints, .peerBabbles, .peerCloses, .peerResets, .peerGoesDown]
            + [.peersComeBack, .timePasses, .clientSends, .peerAnswers, .peerAnswers]
            + [.peerBabbles, .peerBabbles, .otherAnswers, .otherAnswers, .timePasses]
    }

    static let peerCount = 3

    /// Short, for a clock that costs a look at every connection ten times a second.
    private static var timeouts: ProxyTimeouts {
        var timeouts = ProxyTimeouts()
        timeouts.connect = .seconds(1)
        timeouts.requestHead = .seconds(1)
        timeouts.clientIdle = .seconds(60)
        timeouts.bodyIdle = .seconds(1)
        timeouts.response = .seconds(1)
        timeouts.peerIdle = .seconds(1)
        return timeouts
    }

    let loop: EventLoop
    let worker: LoopBound<Worker>
    let listeners: [Int32]
    let address: SocketAddress
    private var isDown = [Bool](repeating: false, count: peerCount)
    private let addresses: [SocketAddress]

    /// With `hedges` a request that waits while time passes is sent to another peer too; with `traces` all are recorded.
    init(hedges: Bool, traces: Bool = false) async throws {
        let loop = try EventLoop.spawn(virtual: "stage")
        self.loop = loop
        let bind = Address.host("127.0.0.1", port: try freePort())
        address = try #require(SocketAddress(bind))
        listeners = try (0..<Self.peerCount).map { _ in
            try Socket.listen(try #require(SocketAddress(ip: "127.0.0.1", port: 0))).take()
        }
        addresses = listeners.compactMap { Socket.localAddress($0) }
        worker = await withCheckedContinuation { continuation in
            loop.execute {
                let worker = Worker(
                    loop: loop,
                    timeouts: Self.timeouts,
                    limits: ProxyLimits(),
                    onRelease: { _ in },
                    sampler: traces ? Sampler(share: 1) : nil
                )
                continuation.resume(returning: LoopBound(worker, on: loop))
            }
        }
        var settings = UpstreamSettings(balance: BalanceDefinition(), closes: .closeAll)
        if hedges { settings.hedge = HedgeDefinition(after: .time(.milliseconds(50)), budget: 1) }
        let changes =
            [RoutingChange.upstream(0, settings)] + (0..<Self.peerCount).map { change(of: $0) }
        let order = ListenerOrder(
            ListenerConfiguration(
                bind: bind,
                mode: .http(routes: [RouteConfiguration(upstream: "web")])
            ),
            ["web": 0]
        )
        let problems = await worker.call { worker in
            worker.apply(changes)
            return worker.listen([order])
        }
        #expect(problems.isEmpty)
    }

    private func change(of peer: Int) -> RoutingChange {
        var snapshot = PeerSnapshot(
            identity: UInt64(peer + 1),
            address: addresses[peer],
            centiweight: 100,
            isAvailable: !isDown[peer],
            isDown: isDown[peer],
            isEligibleInPanic: true,
            isBackup: false,
            maxConnections: nil
        )
        // Even ones are lost, and the others have a bad status.
        snapshot.isLost = isDown[peer] && peer % 2 == 0
        return .peer(Int32(peer), upstream: 0, snapshot)
    }

    func set(_ peer: Int, isDown down: Bool) async {
        isDown[peer] = down
        let change = change(of: peer)
        await worker.call { $0.apply([change]) }
    }

    /// Everything that was sent has been taken in when this returns, and been passed on: a connection
    /// that begins in one turn stands in the next. A moment has passed.
    func settle() async {
        for _ in 0..<2 { await worker.call { _ in } }
        await pass(.milliseconds(1))
    }

    /// Stops the worker's thread until the semaphore is signalled.
    func hold() async -> DispatchSemaphore {
        let semaphore = DispatchSemaphore(value: 0)
        await withCheckedContinuation { (held: CheckedContinuation<Void, Never>) in
            loop.execute {
                held.resume()
                semaphore.wait()
            }
        }
        return semaphore
    }

    func pass(_ span: Nanoseconds) async {
        let loop = loop
        await Task(executorPreference: loop) { await loop.advance(by: span) }.value
    }

    /// Closes what is idle, and says what is left.
    func left() async -> Holdings {
        await worker.call { worker in
            for peer in 0..<worker.pool.peerCount { worker.closeIdle(of: Int32(peer)) }
            return worker.holdings
        }
    }

    /// What was recorded, and how many requests that are over still have something noted down.
    func recorded() async -> (traced: [TracedExchange], kept: Int) {
        await worker.call { worker in
            let kept = (0..<worker.exchanges.highWater).count {
                worker.exchanges.elements[$0].trace != nil
            }
            return (worker.takeTraced().exchanges, kept)
        }
    }

    func end() async {
        await worker.call { $0.abandon() }
        for listener in listeners { Glibc.close(listener) }
        loop.stop()
    }
}

/// One end of a connection. Never waits.
private final class End {
    private let raw: Int32
    private(set) var bytes: [UInt8] = []
    private(set) var isOver = false
    private var isClosed = false

    init(_ raw: Int32) {
        self.raw = raw
        var one: Int32 = 1
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4))
        _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK)
    }

    convenience init(to address: SocketAddress) throws {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard address.withSockaddr({ connect(raw, $0, $1) }) == 0 else {
            throw SystemError("connect")
        }
        self.init(raw)
    }

    deinit { close(reset: true) }

    func send(_ text: String) {
        if isClosed { return }
        let bytes = Array(text.utf8)
        _ = Glibc.send(raw, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    func pull() {
        if isClosed || isOver { return }
        var piece = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(raw, &piece, piece.count, 0)
            if count > 0 {
                bytes += piece[..<count]
            } else {
                isOver = count == 0 || errno != EAGAIN
                return
            }
        }
    }

    func finishSending() { if !isClosed { shutdown(raw, Int32(SHUT_WR)) } }

    func close(reset: Bool) {
        if isClosed { return }
        isClosed = true
        isOver = true
        if reset { Socket.resetOnClose(raw) }
        Glibc.close(raw)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// Nothing can be said to it or heard from it any more.
    var isGone: Bool { isClosed }
}

/// One story on a stage.
private final class Play {
    private final class Connection {
        let end: End
        let peer: Int
        /// Numbers of the requests that came whole, and how many pieces of each were answered.
        var asked: [Int] = []
        var answered: [Int: Int] = [:]
        /// Requests of which a head came, and the tries that their heads named.
        var heads: [Int] = []
        var tries: [String] = []
        init(_ end: End, _ peer: Int) {
            self.end = end
            self.peer = peer
        }
    }

    private let stage: Stage
    private let methods: [String]
    private var pieces: [String] = []
    private let client: End
    private var connections: [Connection] = []
    private(set) var told: [String] = []
    private(set) var fault: String?
    private var isEnded = false

    init(_ stage: Stage, requests: [String]) throws {
        self.stage = stage
        methods = requests
        client = try End(to: stage.address)
        for (number, method) in requests.enumerated() {
            let head = "\(method) /\(number) HTTP/1.1\r\nHost: h\r\n"
            if method == "GET" {
                pieces.append(head + "\r\n")
            } else {
                pieces += [head + "Content-Length: 8\r\n\r\nfour", "more"]
            }
        }
    }

    // MARK: Playing

    func run(_ ops: [Stage.Op]) async {
        for op in ops {
            told.append("\(op)")
            await perform(op)
            await stage.settle()
            look()
        }
    }

    /// The same, some of it in one breath: the worker hears of all that at once.
    func run(_ ops: [Stage.Op], _ dice: inout Dice) async {
        var rest = ops[...]
        while let op = rest.popFirst() {
            guard op.isInstant, Int.random(in: 0..<3, using: &dice) == 0 else {
                await run([op])
                continue
            }
            let hold = await stage.hold()
            told.append("at once:")
            for op in [op] + rest.prefix(while: \.isInstant).prefix(2) {
                told.append("\(op)")
                await perform(op)
            }
            rest = rest.drop(while: \.isInstant)
            hold.signal()
            await stage.settle()
            look()
        }
    }

    private func perform(_ op: Stage.Op) async {
        let last = connections.last { !$0.end.isGone }
        switch op {
        case .clientSends: if !isEnded, !pieces.isEmpty { client.send(pieces.removeFirst()) }
        case .clientEnds:
            isEnded = true
            client.finishSending()
        case .clientResets: client.close(reset: true)
        case .peerAnswers: if let last { answer(last) }
        case .otherAnswers:
            if let other = connections.filter({ !$0.end.isGone }).dropLast().last { answer(other) }
        case .peerHints:
            // Before its answer, or it would be a part of that.
            if let last, last.asked.contains(where: { last.answered[$0] == nil }),
                last.asked.allSatisfy({ [nil, Self.answerPieces].contains(last.answered[$0]) })
            {
                last.end.send("HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n")
            }
        case .peerBabbles:
            // After an answer and before the next request, or it would be the answer.
            if let last, !last.asked.isEmpty,
                last.asked.allSatisfy({ last.answered[$0] == Self.answerPieces }),
                last.heads.count == last.asked.count
            {
                last.end.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            }
        case .peerCloses: last?.end.close(reset: false)
        case .peerResets: last?.end.close(reset: true)
        case .peerGoesDown: if let last { await stage.set(last.peer, isDown: true) }
        case .peersComeBack:
            for peer in 0..<Stage.peerCount { await stage.set(peer, isDown: false) }
        case .timePasses: await stage.pass(.milliseconds(600))
        }
    }

    private static let answerPieces = 3

    /// The next piece of the answer to the request that waits.
    private func answer(_ connection: Connection) {
        guard
            let number = connection.asked.first(where: {
                connection.answered[$0, default: 0] < Self.answerPieces
            })
        else { return }
        let mark = "\(number)@\(connection.peer)"
        let done = connection.answered[number, default: 0]
        connection.answered[number] = done + 1
        switch done {
        case 0:
            connection.end.send("HTTP/1.1 200 OK\r\nX-For: \(number)\r\nContent-Length: 6\r\n\r\n")
        case 1: connection.end.send(mark)
        default: connection.end.send(mark)
        }
    }

    /// Takes in what came, on every side.
    private func look() {
        for (peer, listener) in stage.listeners.enumerated() {
            while let descriptor = try? Socket.accept(listener) {
                connections.append(Connection(End(descriptor.take()), peer))
            }
        }
        client.pull()
        for connection in connections {
            connection.end.pull()
            take(connection)
        }
    }

    private func take(_ connection: Connection) {
        connection.asked = []
        connection.heads = []
        connection.tries = []
        var rest = connection.end.text[...]
        while let blank = rest.range(of: "\r\n\r\n") {
            let head = rest[..<blank.lowerBound]
            let words = head.split(separator: " ", maxSplits: 2)
            guard words.count == 3, let number = Int(words[1].dropFirst()) else {
                fault = "a peer was sent '\(head)'"
                return
            }
            connection.heads.append(number)
            for line in head.split(separator: "\r\n") where line.hasPrefix("traceparent: 00-") {
                connection.tries.append(String(line.dropFirst(49).prefix(16)))
            }
            rest = rest[blank.upperBound...]
            if head.contains("Content-Length: 8") {
                guard rest.count >= 8 else { break }
                if rest.prefix(8) != "fourmore" { fault = "body '\(rest.prefix(8))'" }
                rest = rest.dropFirst(8)
            }
            connection.asked.append(number)
        }
    }

    // MARK: Judging

    /// Lets everything come to its end, and looks at what was promised.
    func finish() async {
        while !pieces.isEmpty, !isEnded, !client.isOver, fault == nil {
            await run([.clientSends])
        }
        for peer in 0..<Stage.peerCount { await stage.set(peer, isDown: false) }
        // Peers that still can answer everything they are asked; whoever cannot is waited for.
        for _ in 0..<2 * methods.count + 2 where fault == nil && !client.isOver {
            for connection in connections where !connection.end.isGone {
                for _ in 0..<Self.answerPieces { answer(connection) }
            }
            await stage.settle()
            look()
        }
        await stage.pass(.milliseconds(1_200))
        look()
        judge()
        client.close(reset: true)
        for connection in connections { connection.end.close(reset: true) }
        await stage.settle()
        await stage.pass(.milliseconds(1_200))
        // The kernel tells of the ends that were closed when it comes to it.
        var left = await stage.left()
        _ = await eventually(within: .seconds(30)) {
            if left == Holdings(descriptors: 1) { return true }
            await stage.settle()
            left = await stage.left()
            return false
        }
        if left != Holdings(descriptors: 1), fault == nil { fault = "kept: \(left)" }
        await judgeTraces()
    }

    /// Each try that a peer has seen was recorded as one of that peer, once, within its request.
    private func judgeTraces() async {
        let (traced, kept) = await stage.recorded()
        if kept > 0 { fault = "\(kept) requests are over, and something of their traces is kept" }
        var peers: [String: Int] = [:]
        for exchange in traced {
            for one in exchange.tries {
                if peers.updateValue(Int(one.peer), forKey: "\(one.span)") != nil {
                    fault = "two tries are \(one.span)"
                }
                if one.begun < exchange.begun || one.begun > one.ended || one.ended > exchange.ended
                {
                    fault =
                        "a try from \(one.begun) to \(one.ended) of a request from "
                        + "\(exchange.begun) to \(exchange.ended)"
                }
            }
        }
        for connection in connections {
            for id in connection.tries where peers[id] != connection.peer {
                fault =
                    "peer \(connection.peer) was asked as \(id), which "
                    + (peers[id].map { "is a try of peer \($0)" } ?? "nobody knows")
            }
        }
    }

    private func judge() {
        for (number, method) in methods.enumerated() where method == "POST" {
            let times = connections.reduce(0) { $0 + $1.heads.count { $0 == number } }
            if times > 1 { fault = "POST \(number) was sent \(times) times" }
        }
        if client.isGone { return }
        var rest = client.text[...]
        var number = 0
        while !rest.isEmpty {
            guard let blank = rest.range(of: "\r\n\r\n") else { break }
            let head = rest[..<blank.lowerBound]
            rest = rest[blank.upperBound...]
            if head.hasPrefix("HTTP/1.1 103") { continue }
            let length = head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
                .flatMap { Int($0.dropFirst(16)) }
            guard head.hasPrefix("HTTP/1.1 "), let length else {
                fault = "the client got '\(head)'"
                return
            }
            let body = rest.prefix(length)
            if head.hasPrefix("HTTP/1.1 200") {
                let isMine = head.contains("X-For: \(number)\r\n")
                let mark = body.prefix(3)
                let isWhole = mark.hasPrefix("\(number)@") && body == mark + mark
                let isCut = (mark + mark).hasPrefix(body) && client.isOver
                if !isMine || !(isWhole || isCut) {
                    fault = "request \(number) was answered '\(head)' '\(body)'"
                    return
                }
            } else if body.count < length, !client.isOver {
                fault = "an answer of our own broke off: '\(body)'"
            }
            rest = rest.dropFirst(length)
            number += 1
        }
        if number > methods.count { fault = "\(number) answers to \(methods.count) requests" }
        if number < methods.count, !client.isOver, !isEnded {
            fault =
                "\(number) answers to \(methods.count) requests, and the connection is still there"
        }
    }
}

extension Substring {
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while let found = self[start...].firstIndex(of: "\r\n\r\n".first ?? "\n") {
            if self[found...].hasPrefix(text) {
                return found..<index(found, offsetBy: text.count)
            }
            start = index(after: found)
        }
        return nil
    }
}
