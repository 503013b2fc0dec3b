// Does the state survive what happens to files? Damage, foreign formats, folders that are not there.

import EventLoop
import Foundation
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@Suite struct StateFileTests {
    @Test(arguments: [
        "", "{", "[]", "null", "{\"format\":1}", "{\"format\":2,\"verdicts\":{},\"intents\":{}}",
        "{\"format\":1,\"verdicts\":[],\"intents\":{}}", "\u{0}\u{1}\u{2}",
    ])
    func `a damaged file is moved aside, and the start goes on`(content: String) async throws {
        try await StoreRig.run(.embedded) { rig in
            let path = try rig.folder.write(content, to: "state.json")
            let (store, listener) = await rig.start()
            #expect(listener.verdicts.isEmpty)
            #expect(try String(contentsOfFile: path + ".damaged", encoding: .utf8) == content)
            let told = try #require(rig.lines.all.first)
            #expect(told.hasPrefix("error: state file \(path) cannot be used: "))
            #expect(told.hasSuffix("moved to \(path).damaged, starting without it"))

            store.publish(Verdict.sample(), isTransition: true)
            await rig.stop(store)
            #expect(await rig.reopened().verdicts.count == 1)
        }
    }

    @Test func `one strange entry does not cost the others`() async throws {
        try await StoreRig.run(.embedded) { rig in
            let (store, _) = await rig.start()
            store.publish(Verdict.sample(peer: "good"), isTransition: true)
            store.publish(Verdict.sample(peer: "bad"), isTransition: true)
            await rig.stop(store)
            let path = rig.folder.path("state.json")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let broken = text.replacing(
                "\"web|bad|http\":{\"status\":\"up\"",
                with: "\"web|bad|http\":{\"status\":\"splendid\""
            )
            #expect(broken != text)
            try broken.write(toFile: path, atomically: true, encoding: .utf8)
            #expect(await rig.reopened().verdicts.keys.map(\.peer) == ["good"])
        }
    }

    @Test func `a file that cannot be written is told of once and costs nothing else`()
        async throws
    {
        try await StoreRig.run(.embedded) { rig in
            let (store, _) = await rig.start(state: rig.folder.path("none/state.json"))
            for sequence in 1...3 {
                store.publish(Verdict.sample(sequence: UInt64(sequence)), isTransition: true)
                #expect(await rig.comes { store.status.lastError != nil })
            }
            await rig.stop(store)
            for what in ["state file", "ledger"] {
                let told = rig.lines.all.filter {
                    $0.hasPrefix("error: \(what) ") && $0.contains("cannot be written")
                }
                #expect(told.count == 1, "\(rig.lines.all)")
            }
        }
    }

    /// A FIFO would make the start wait for its other end, and a device would be taken from all others.
    @Test func `what is no file is refused by name, and left as it is`() async throws {
        let folder = try TemporaryDirectory()
        let fifo = folder.path("fifo")
        #expect(mkfifo(fifo, 0o600) == 0)
        try FileManager.default.createDirectory(
            atPath: folder.path("sub"),
            withIntermediateDirectories: true
        )
        for (name, to) in [("device", "/dev/full"), ("nowhere", folder.path("none"))] {
            try FileManager.default.createSymbolicLink(
                atPath: folder.path(name),
                withDestinationPath: to
            )
        }
        for (path, what) in [
            (fifo, "a FIFO"), ("/dev/full", "a device"), (folder.path("device"), "a device"),
            (folder.path("sub"), "a folder"), (folder.path("nowhere"), "a link that leads nowhere"),
        ] {
            let problem = try #require(WholeFile.problem(at: path))
            #expect(problem.isNoFile && problem.description.hasSuffix("saw \(what)"))
            #expect(throws: problem) { try WholeFile.read(path, atMost: 10) }
            #expect(throws: problem) { try WholeFile.replace(path, with: [1]) }
            #expect(WholeFile.problem(at: path) == problem, "it is what it was")
            try await StoreRig.run(.embedded) { rig in
                let (store, _) = await rig.start(state: path)
                store.publish(Verdict.sample(), isTransition: true)
                #expect(store.status.fileError?.contains(what) == true)
                await rig.stop(store)
                #expect(rig.lines.all.contains { $0.contains(path) && $0.contains(what) })
            }
            #expect(WholeFile.problem(at: path) == problem)
        }
    }

    @Test func `a link to a file stays one, and what lies beside is not written through`() throws {
        let folder = try TemporaryDirectory()
        let target = try folder.write("old", to: "target")
        let link = folder.path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        let other = try folder.write("mine", to: "other")
        try FileManager.default.createSymbolicLink(
            atPath: target + ".new",
            withDestinationPath: other
        )
        try WholeFile.replace(link, with: Array("new".utf8))
        #expect(try WholeFile.read(target, atMost: 10) == Array("new".utf8))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == target)
        #expect(try WholeFile.read(other, atMost: 10) == Array("mine".utf8))
        #expect(throws: WholeFile.Problem.self) { try WholeFile.read(target, atMost: 2) }
        #expect(try WholeFile.read(folder.path("none"), atMost: 2) == nil)
    }

    @Test func `the file is written without being asked, and never half`() async throws {
        try await StoreRig.run(.embedded) { rig in
            let path = rig.folder.path("state.json")
            let (store, _) = await rig.start()
            store.publish(Verdict.sample(message: "1"), isTransition: true)
            #expect(await rig.comes { FileManager.default.fileExists(atPath: path) })
            for sequence in 2...50 {
                store.publish(
                    Verdict.sample(sequence: UInt64(sequence), message: "\(sequence)"),
                    isTransition: true
                )
                let text = try String(contentsOfFile: path, encoding: .utf8)
                #expect((try? JSON(parsing: text))?["format"]?.integer == 1)
            }
            #expect(
                await rig.comes {
                    (try? String(contentsOfFile: path, encoding: .utf8))?
                        .contains("\"message\":\"50\"") == true
                }
            )
            #expect(!FileManager.default.fileExists(atPath: path + ".new"))
        }
    }

    @Test func `an intent that has ended is not kept`() async throws {
        try await StoreRig.run(.embedded) { rig in
            let (store, _) = await rig.start()
            let now = rig.loop.wall
            let past = WallTime(milliseconds: now.milliseconds - 1)
            let over = PeerKey(upstream: "web", peer: "over")
            let open = PeerKey(upstream: "web", peer: "open")
            try await store.set(intent: Intent(mode: .maint, until: past), for: over)
            try await store.set(intent: Intent(mode: .maint), for: open)
            await rig.stop(store)
            #expect(Set(await rig.reopened().intents.keys) == [open])
        }
    }
}
