// What does a broken reply do to whoever reads it? Ten thousand of them for each parser, made from
// good ones by a seed: cut off, flipped, doubled, spliced, with numbers that are far too large. Each
// is read whole and in pieces, and must mean the same.

import DNS
import EventLoop
import HTTP1
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks
@testable import HTTP2
@testable import Patterns
@testable import Plugins

@Suite struct MalformedReplyTests {
    static let count = 10_000

    // MARK: Agent line

    @Test func `an agent line is bounded, and ends at its end`() {
        var mutant = Mutant(
            seed: 61,
            of: [
                "up 75% maxconn:30 # fine\n", "down # backup finished\r\n", "ready,drain,50%\n",
                "maint\tfail 256%\n", "stopped # x\n",
            ]
        )
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            let reply = AgentReply(parsing: bytes)
            let outcome = reply.outcome
            #expect(outcome.message.utf8.count <= Outcome.messageBytesMax)
            #expect((0...PeerHealth.weightPercentMax).contains(reply.hints.weightPercent ?? 0))
            // Fed in pieces the end is found at the same place, and nothing behind it counts.
            let length = AgentReply.length(in: bytes)
            let early = (0...bytes.count).first { AgentReply.length(in: bytes[..<$0]) != nil }
            #expect(early == length.map { $0 + 1 })
            if let length { #expect(AgentReply(parsing: bytes[..<length]) == reply) }
            // No health word left: no verdict.
            let words = String(decoding: bytes, as: UTF8.self).lowercased()
            if !words.contains("up") { #expect(outcome.verdict != .pass, "\(words)") }
        }
    }

    // MARK: HTTP

    private struct HTTPReading: Equatable {
        var status = 0
        var body: [UInt8] = []
        var isComplete = false
        var isCut = false
        var failure = ""
    }

    private static func readHTTP(_ pieces: [ArraySlice<UInt8>], bodyBytesMax: Int) -> HTTPReading {
        var reader = ResponseReader(method: .get, bodyBytesMax: bodyBytesMax)
        var reading = HTTPReading()
        do throws(ResponseReader.Failure) {
            for piece in pieces {
                let piece = Array(piece)
                try piece.span.bytes.withUnsafeBytes { (piece) throws(ResponseReader.Failure) in
                    try reader.feed(piece)
                }
            }
            if !reader.isComplete { try reader.end() }
        } catch {
            switch error {
            // Where in the bytes depends on how much of them was there.
            case .malformed(let error): reading.failure = "\(error.code)"
            default: reading.failure = "\(error)"
            }
        }
        reading.status = reader.status
        reading.body = reader.body
        reading.isComplete = reader.isComplete
        reading.isCut = reader.isCut
        return reading
    }

    @Test func `an HTTP answer means the same however it is cut`() {
        var mutant = Mutant(
            seed: 62,
            of: [
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\n\r\nready",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n5;x=y\r\n well\r\n"
                    + "0\r\nX: y\r\n\r\n",
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end",
            ]
        )
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            let whole = Self.readHTTP([bytes[...]], bodyBytesMax: 16)
            let pieces = Self.readHTTP(mutant.pieces(of: bytes), bodyBytesMax: 16)
            #expect(whole == pieces, "\(Excerpt.of(bytes, max: 400))")
            #expect(whole.body.count <= 16)
            // Complete is what begins as an answer does, and nothing else.
            if whole.isComplete {
                #expect(bytes.starts(with: "HTTP/1.".utf8), "\(Excerpt.of(bytes))")
                #expect((101...999).contains(whole.status))
            }
        }
    }

    // MARK: Programs

    @Test func `a program's output keeps its limits`() {
        var mutant = Mutant(
            seed: 63,
            of: [
                "DISK OK - free | /=2643MB;5948;5958;0;5968 'a b'=1;~:2;@3:4\n",
                "LOAD | load1=0.1;15;30;0 load5=U\nlong text\nmore | b=2\nc=3%;;\n",
                "PING OK - Packet loss = 0%|rta=0.06ms;200.0;500.0;0; pl=0%;40;60;;",
            ]
        )
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            let output = NagiosOutput(parsing: bytes)
            #expect(output.items.count <= NagiosOutput.itemsMax)
            #expect(!output.text.utf8.contains(0x0A))
            #expect(output == NagiosOutput(parsing: bytes))
            for item in output.items {
                #expect((1...NagiosOutput.labelBytesMax).contains(item.label.utf8.count))
                #expect(item.value?.isFinite ?? true)
                for range in [item.warn, item.fail] where range != nil {
                    #expect((range?.start ?? 0) <= (range?.end ?? 0))
                }
            }
            // Without a bar there are no measurements.
            if !bytes.contains(UInt8(ascii: "|")) { #expect(output.items.isEmpty) }
        }
    }

    @Test func `a range that is read is a range`() {
        var mutant = Mutant(seed: 64, of: ["10", "10:", "~:10", "10:20", "@10:20", "-5.5:1e9"])
        for _ in 0..<Self.count {
            let text = String(decoding: mutant.next(), as: UTF8.self)
            guard let range = NagiosRange(text) else { continue }
            #expect(range.start <= range.end && !range.start.isNaN && !range.end.isNaN)
            var inverted = range
            inverted.isInverted.toggle()
            for value in [range.start, range.end, 0, -1e300, 1e300] {
                #expect(range.alerts(on: value) != inverted.alerts(on: value), "\(text)")
            }
            #expect(text.utf8.contains { (0x30...0x39).contains($0) || $0 == 0x3A }, "\(text)")
        }
    }

    // MARK: gRPC

    private struct Call: Equatable {
        var fields: [String] = []
        var body: [UInt8] = []
        var isComplete = false
        var isRefused = false
    }

    private static func readHTTP2(_ pieces: [ArraySlice<UInt8>]) -> Call {
        var call = HTTP2Call()
        var reading = Call()
        do {
            for piece in pieces { _ = try call.feed(piece) }
        } catch {
            reading.isRefused = true
        }
        reading.fields = call.headers.map { "\($0.name): \($0.value)" }
        reading.body = call.body
        reading.isComplete = call.isComplete
        return reading
    }

    private static func frame(_ kind: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [0, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), kind, flags, 0, 0, 0, 1]
            + payload
    }

    @Test func `a gRPC answer means the same however it is cut`() {
        let head = Self.frame(1, 4, [0x88] + HPACK.encode([("content-type", "application/grpc")]))
        let trailers = Self.frame(1, 5, HPACK.encode([("grpc-status", "0")]))
        let huffman = Self.frame(1, 4, [0x48, 0x82, 0x64, 0x02, 0x58, 0x83, 0x9B, 0xD9, 0xAB])
        let message = Self.frame(0, 0, [0, 0, 0, 0, 2, 0x08, 1])
        var mutant = Mutant(
            seed: 65,
            ofBytes: [
                [0, 0, 0, 4, 0, 0, 0, 0, 0] + head + message + trailers,
                head + Self.frame(6, 0, [1, 2, 3, 4, 5, 6, 7, 8]) + message + trailers,
                Self.frame(1, 0, [0x88]) + Self.frame(9, 4, [0x61]) + message + trailers,
                huffman + Self.frame(0, 8, [2, 0, 0, 0, 0, 2, 0x08, 1, 9, 9]) + trailers,
            ]
        )
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            let whole = Self.readHTTP2([bytes[...]])
            #expect(whole == Self.readHTTP2(mutant.pieces(of: bytes)), "\(bytes)")
            #expect(whole.body.count <= HTTP2Call.bodyBytesMax + HTTP2Call.frameBytesMax)
            if whole.isComplete, let status = HealthMessage.status(in: whole.body) {
                #expect(status >= 0)
                // SERVING stands in five bytes of frame and two of message at the least.
                if status == 1 { #expect(whole.body.count >= 7) }
            }
        }
    }

    @Test func `a health message serves only where it says so`() {
        var mutant = Mutant(
            seed: 66,
            ofBytes: [
                [0, 0, 0, 0, 2, 0x08, 1], [0, 0, 0, 0, 2, 0x08, 2], [0, 0, 0, 0, 0],
                [0, 0, 0, 0, 7, 0x12, 3, 1, 2, 3, 0x08, 1], [0, 0, 0, 0, 3, 0x08, 0x81, 0],
            ]
        )
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            guard HealthMessage.status(in: bytes) == 1 else { continue }
            // Not compressed, as long as it says, and a one somewhere.
            let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
            #expect(bytes[0] == 0 && bytes.count == 5 + length)
            #expect(bytes[5...].contains { $0 & 0x7F == 1 }, "\(bytes)")
        }
    }

    // MARK: DNS

    @Test func `a DNS message says nothing that is not in it`() throws {
        let question = DNSQuestion(id: 7, name: "web.test", type: .a)
        var good = try #require(question.bytes)
        good[2] = 0x81
        good[7] = 2
        good.removeLast(11)
        good += [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]
        good += [0xC0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 9, 0, 10, 4, 0x6D, 0x61, 0x69, 0x6C, 0xC0]
        good += [12]
        #expect(
            try DNSReply(parsing: good).answers.map(\.text) == ["192.0.2.1", "10 mail.web.test"]
        )
        var text = Array(good[..<26])
        text[7] = 1
        text += [0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 6, 5] + Array("v=spf".utf8)
        var mutant = Mutant(seed: 67, ofBytes: [good, text])
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            guard let reply = try? DNSReply(parsing: bytes) else { continue }
            #expect(reply.answers.count <= DNSReply.recordsMax)
            #expect(bytes[2] & 0x80 != 0, "a question is no answer")
            let size = reply.answers.reduce(0) { $0 + $1.text.utf8.count }
            #expect(size <= reply.answers.count * 4 * 512)
            // What follows changes nothing; what is missing is never made up.
            #expect((try? DNSReply(parsing: bytes + [0xC0, 12, 0])) == reply)
            if reply.answers(question) {
                #expect(Array(bytes[..<2]) == [0, 7], "another's answer")
            }
        }
    }

    // MARK: Redis

    private enum Reading: Equatable {
        case unfinished, malformed
        case reply(RESPReply, Int)
    }

    private static func readRESP(_ bytes: some Collection<UInt8>) -> Reading {
        do {
            return try RESPReply.parse(Array(bytes)).map { .reply($0.reply, $0.length) }
                ?? .unfinished
        } catch {
            return .malformed
        }
    }

    @Test func `a Redis reply is the same as soon as it is there`() {
        var mutant = Mutant(
            seed: 68,
            of: [
                "+PONG\r\n", "-LOADING Redis is loading\r\n", ":42\r\n", "$5\r\nhello\r\n",
                "$-1\r\n",
                "$26\r\nrole:slave\r\nlink:up\r\n12345\r\n", "*1\r\n$1\r\na\r\n",
            ]
        )
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            let whole = Self.readRESP(bytes)
            let first = (0...bytes.count).lazy.map { Self.readRESP(bytes[..<$0]) }
                .first { $0 != .unfinished }
            #expect((first ?? .unfinished) == whole, "\(Excerpt.of(bytes))")
            if case .reply(let reply, _) = whole, reply == .status("PONG") {
                #expect(bytes.starts(with: "+PONG\r\n".utf8))
            }
        }
    }

    // MARK: JSON

    @Test func `a pointer into broken JSON leads to a value or nowhere`() throws {
        var mutant = Mutant(
            seed: 69,
            of: [
                #"{"status":"up","checks":[{"ok":true,"ms":1.5e3}],"a/b":null}"#,
                #"{"status":{"status":"up"},"x":[[[["deep"]]]],"n":-0.0,"u":"é"}"#,
            ]
        )
        var pointers = Mutant(seed: 70, of: ["/status", "/checks/0/ok", "/a~1b", "/x/0/0/0/0", ""])
        let status = try #require(JSONPointer("/status"))
        for _ in 0..<Self.count {
            let bytes = mutant.next()
            let pointer = JSONPointer(String(decoding: pointers.next(), as: UTF8.self))
            guard let root = try? JSON(parsing: bytes) else { continue }
            #expect((try? JSON(parsing: root.bytes)) == root)
            if let value = pointer?.value(in: root) {
                #expect(value.bytes.count <= root.bytes.count)
            }
            if status.value(in: root)?.string == "up" {
                #expect(bytes.firstRange(of: Array("status".utf8)) != nil || bytes.contains(0x5C))
            }
        }
    }

    // MARK: Dialogues

    @Test func `a dialogue file is steps that can be written again, or a mistake in a line of it`()
    {
        var mutant = Mutant(
            seed: 71,
            of: [
                "# a mail server\nexpect-pattern ^220\nsend EHLO probe\\r\\n\nexpect 250 HELP\n",
                "send-hex 48 65 6c6c 6f\n\texpect-hex 00ff\nexpect \\x41\\\"\\\\\n",
            ]
        )
        for _ in 0..<Self.count {
            let text = String(decoding: mutant.next(), as: UTF8.self)
            let lines = text.utf8.count { $0 == 0x0A } + 1
            do throws(SettingError) {
                let steps = try DialogueFile.parse(text, file: "f")
                #expect(steps.count <= min(lines, DialogueStep.stepsMax))
            } catch {
                #expect((1...lines).contains(error.position.line), "\(error)")
                #expect(error.position.file == "f" && !error.message.isEmpty)
            }
        }
    }

    @Test func `a pattern is refused or matches within the text`() {
        var mutant = Mutant(
            seed: 72,
            of: [
                "^queue: [0-9]+$", "(a|bcd|cd)*x{2,3}", "[^[:alpha:]x-z]+|\\bword\\b", "(a*)*b|()",
            ]
        )
        let texts = ["", "queue: 17\nabcdcdxx word", "aaaaaaaaaaaaaaaaaaaa"].map { Array($0.utf8) }
        for _ in 0..<Self.count {
            let source = String(decoding: mutant.next(), as: UTF8.self)
            guard let pattern = try? Pattern(source) else { continue }
            for text in texts {
                text.withUnsafeBytes { bytes in
                    let found = pattern.firstMatch(in: bytes)
                    #expect(pattern.matches(bytes) == (found != nil), "/\(source)/")
                    #expect(found.map { (0...text.count).contains($0.upperBound) } ?? true)
                }
            }
        }
    }
}

/// Makes broken texts out of good ones, the same from the same seed.
struct Mutant {
    private var random: Dice
    private let good: [[UInt8]]

    private static let numbers = [
        "0", "-1", "65536", "2147483648", "18446744073709551616", "1e999", "0x7fffffff",
        "99999999999999999999999999999999", "00000000000000000001",
    ]
    /// A text may double a few times, not without end.
    private static let bytesMax = 2_048

    init(seed: UInt64, ofBytes good: [[UInt8]]) {
        random = Dice(seed: seed)
        self.good = good
    }

    init(seed: UInt64, of good: [String]) {
        self.init(seed: seed, ofBytes: good.map { Array($0.utf8) })
    }

    mutating func next() -> [UInt8] {
        var bytes = good[below(good.count)]
        for _ in 0...below(3) { change(&bytes) }
        return Array(bytes.prefix(Self.bytesMax))
    }

    /// The same bytes as they may come over a connection: one by one, or in a few pieces.
    mutating func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        guard bytes.count > 1 else { return [bytes[...]] }
        if below(4) == 0 { return bytes.indices.map { bytes[$0...$0] } }
        var pieces: [ArraySlice<UInt8>] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + 1 + below(bytes.count))
            pieces.append(bytes[start..<end])
            start = end
        }
        return pieces
    }

    private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(max(limit, 1))) }

    private mutating func range(in bytes: [UInt8]) -> Range<Int> {
        let start = below(bytes.count + 1)
        return start..<start + below(min(bytes.count - start, 24) + 1)
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        switch below(7) {
        case 0: bytes.removeLast(below(bytes.count + 1))
        case 1 where !bytes.isEmpty: bytes[below(bytes.count)] ^= 1 << UInt8(below(8))
        case 2 where !bytes.isEmpty: bytes[below(bytes.count)] = UInt8(below(256))
        case 3: bytes.insert(contentsOf: bytes[range(in: bytes)], at: below(bytes.count + 1))
        case 4:
            let other = good[below(good.count)]
            bytes.replaceSubrange(range(in: bytes), with: other[range(in: other)])
        case 5:
            let number = Self.numbers[below(Self.numbers.count)]
            bytes.replaceSubrange(range(in: bytes), with: number.utf8)
        default: bytes.removeSubrange(range(in: bytes))
        }
    }
}
