// Does a peer understand of a request what we understood of it? Every request of the corpus goes
// through a proxy; what arrives is parsed again and compared. What is refused arrives nowhere.

import EventLoop
import Foundation
import HTTP1
import TestSupport
import Testing

@testable import Proxy

/// One request, reduced to what two parsers must not disagree on.
private struct Message: Equatable {
    var method: String
    var framing: String
    var body: [UInt8] = []
    var trailers: [String] = []
    var isHead = false
}

/// What a stream of requests holds, in the order of the stream.
private struct Reading {
    enum End: Equatable {
        /// Between two requests, or after one that ends the connection.
        case boundary
        case unfinished
        case refused(status: Int)
    }

    var messages: [Message] = []
    var end = End.boundary

    init(_ bytes: [UInt8]) {
        var limits = HeadLimits()
        limits.headBytes = Buffer.capacity - 2 * HeadRewriter.growthMax
        var table = FieldTable()
        var position = 0
        do throws(HTTPError) {
            while position < bytes.count {
                let rest = Array(bytes[position...])
                var parser = HeadParser()
                let head = try parser.parseRequest(rest.span, fields: &table, limits: limits)
                guard let head else {
                    end = .unfinished
                    return
                }
                if head.method == .connect {
                    end = .refused(status: 501)
                    return
                }
                var message = Message(
                    method: String(decoding: rest[head.methodRange.range], as: UTF8.self),
                    framing: "\(head.framing)",
                    isHead: head.method == .head
                )
                position += Int(head.end)
                guard try Self.readBody(head, bytes, &position, &message) else {
                    end = .unfinished
                    return
                }
                messages.append(message)
                if !head.isPersistent { return }
            }
        } catch {
            end = .refused(status: Int(error.status))
        }
    }

    private static func readBody(
        _ head: RequestHead,
        _ bytes: [UInt8],
        _ position: inout Int,
        _ message: inout Message
    ) throws(HTTPError) -> Bool {
        switch head.framing {
        case .none, .untilClose: return true
        case .length(let count):
            guard UInt64(bytes.count - position) >= count else { return false }
            message.body = Array(bytes[position..<position + Int(count)])
            position += Int(count)
            return true
        case .chunked:
            var decoder = ChunkedDecoder(of: .request)
            while true {
                switch try decoder.next(in: bytes.span, at: &position) {
                case .data(let range): message.body += bytes[range]
                case .trailer(let name, let value):
                    message.trailers.append(
                        String(decoding: bytes[name], as: UTF8.self) + ": "
                            + String(decoding: bytes[value], as: UTF8.self)
                    )
                case .needMore: return false
                case .end: return true
                }
            }
        }
    }
}

@Suite struct ForwardedCorpusTests {
    private struct Line: Decodable {
        let id: String
        let b64: Data
    }

    private static func corpus(_ name: String) throws -> [Line] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../HTTP1Tests/Corpus/\(name)")
        let decoder = JSONDecoder()
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            try decoder.decode(Line.self, from: Data($0.utf8))
        }
    }

    enum Source: CaseIterable { case requests, seeds, repairedSeeds }

    private static func messages(_ source: Source) throws -> [(id: String, bytes: [UInt8])] {
        switch source {
        case .requests: try corpus("http1-requests.jsonl").map { ($0.id, Array($0.b64)) }
        case .seeds: try corpus("http1-fuzz-seeds.jsonl").map { ($0.id, Array($0.b64)) }
        case .repairedSeeds:
            try corpus("http1-fuzz-seeds.jsonl").map { ($0.id, repaired(Array($0.b64))) }
        }
    }

    /// A seed with a method, our version, proper line ends and a host: strange in one place less,
    /// so that what is strange elsewhere is looked at.
    private static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        if lines[0].first == 0x20 { lines[0] = Array("GET".utf8) + lines[0] }
        if let version = lines[0].firstRange(of: Array(" HTTP/".utf8)) {
            lines[0] = lines[0][..<version.lowerBound] + Array(" HTTP/1.1".utf8)
        }
        lines.insert(Array("Host: h".utf8), at: 1)
        return Array(lines.joined(separator: [0x0D, 0x0A]))
    }

    @Test(arguments: Source.allCases)
    func `a peer reads what we read, and nothing of what we refuse`(source: Source) async throws {
        let peer = try TestPeer { _ in [.send(TestPeer.ok("read"))] }
        let rig = try await ProxyRig([peer])
        var seen = 0
        var accepted = 0
        var refused = 0
        for line in try Self.messages(source) {
            let reading = Reading(line.bytes)
            let client = try rig.client()
            try? client.send(line.bytes)
            client.finishSending()
            for message in reading.messages {
                let reply = try client.reply(toHead: message.isHead)
                #expect(reply.status == 200, "\(line.id)")
            }
            if case .refused(let status) = reading.end {
                refused += 1
                let reply = try client.reply()
                #expect(reply.status == status, "\(line.id)")
                #expect(reply["Connection"] == "close", "\(line.id)")
            }
            #expect(client.ending() != .open, "\(line.id)")
            #expect(client.unread.isEmpty, "\(line.id)")
            let forwarded = Array(peer.requests[seen...])
            seen += forwarded.count
            accepted += forwarded.count
            // What the peer's own simple reader took, and what our parser makes of that.
            #expect(forwarded.map(\.body) == reading.messages.map(\.body), "\(line.id)")
            let again = Reading(forwarded.flatMap(\.bytes))
            #expect(again.messages == reading.messages, "\(line.id)")
            #expect(again.end == .boundary, "\(line.id)")
        }
        // A proxy that refused everything would agree with everybody.
        #expect(source == .seeds || accepted > 100)
        #expect(refused > 100)
        await rig.expectNothingHeld()
    }
}
