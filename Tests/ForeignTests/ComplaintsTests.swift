// Is everything that is wrong in a source told of, and nothing of it again and again?

import EventLoop
import Health
import Redis
import Synchronization
import Testing
import Vocabulary

@testable import Foreign

@Suite struct ComplaintsTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
        func take() -> [String] {
            all.withLock { lines in
                defer { lines = [] }
                return lines
            }
        }
    }

    @Test func `the first is told at once, and the others when its minute is over`() async throws {
        let loop = try EventLoop.spawn(virtual: "complaints", seed: 1)
        defer { loop.stop() }
        let lines = Lines()
        await withTaskExecutorPreference(loop) {
            let base = ForeignBase(
                name: "keys",
                read: RedisURL(address: .host("127.0.0.1", port: 1)),
                upstream: UpstreamDefinition(name: "keys", peers: []),
                monitors: [],
                refresh: .seconds(1)
            )
            let journal = Journal(from: .debug) { (line: Journal.Line) in
                lines.all.withLock { $0.append(line.text) }
            }
            let routes = ForeignRoutes(base, on: loop, journal: journal)
            for host in 0..<5 { routes.complain(of: "h\(host)", ["text"]) }
            routes.complain(of: "big", tooMany: 70, isCut: false)
            routes.complain(.type, of: "list", "GET list: WRONGTYPE")
            // Said again it is no more than it was.
            for _ in 0..<3 {
                routes.complain(of: "h0", ["text"])
                routes.complain(of: "h3", ["other text"])
            }
            let first = lines.take()
            #expect(first.count == 3)
            #expect(first.first?.hasPrefix("source keys: a backend of h0 is left out: ") == true)
            await loop.advance(by: .seconds(59))
            routes.complain(.type, of: "hash", "GET hash: WRONGTYPE")
            #expect(lines.take() == [])
            await loop.advance(by: .seconds(1))
            #expect(
                lines.take() == [
                    "source keys has, besides what was told of: 4 keys with backends that are left "
                        + "out (h1, h2, h3 and 1 more); 1 key with another sort of value (hash)"
                ]
            )
            // Within the minute after that, with the others; later by itself.
            routes.complain(of: "h9", ["text"])
            await loop.advance(by: .seconds(60))
            #expect(
                lines.take() == [
                    "source keys has, besides what was told of: 1 key with backends that are left "
                        + "out (h9)"
                ]
            )
            await loop.advance(by: .seconds(120))
            #expect(lines.take() == [])
            routes.complain(of: "h0", ["text"])
            #expect(lines.take() == Array(first.prefix(1)))
            routes.close()
        }
    }

    @Test func `so many keys are told apart`() {
        var complaints = Complaints()
        let now = Instant(nanoseconds: 0)
        for key in 0...(Complaints.keysMax + 5) {
            let isFirst = complaints.note(.refused, of: "k\(key)", at: now)
            #expect(isFirst == (key == 0))
        }
        #expect(complaints.due == now + Complaints.every)
        #expect(complaints.takeRest(at: now + .seconds(59)) == nil)
        #expect(
            complaints.takeRest(at: now, all: true)
                == "1000 or more keys that Redis did not give (k1, k2, k3 and 997 more)"
        )
        #expect(complaints.due == nil)
    }
}
