// Is a state, and every verdict in it, read back as it was written: from the file and from Redis?

import Health
import Vocabulary

@testable import Store

@Sendable func state(_ bytes: [UInt8]) {
    requireKeys(String(decoding: bytes, as: UTF8.self))
    guard let json = try? JSON(parsing: bytes, limits: JSONLimits(bytes: 64 << 10)) else { return }

    // A value in Redis.
    let key = VerdictKey(upstream: "web|%", peer: "127.0.0.1:9001", monitor: "http")
    if let verdict = Verdict(key: key, json: json) {
        let again = reread(verdict.json).flatMap { Verdict(key: key, json: $0) }
        require(again == verdict, "\(verdict) read back as \(String(describing: again))")
    }
    if let intent = IntentRecord(json: json) {
        let again = reread(intent.json).flatMap { IntentRecord(json: $0) }
        require(again == intent, "\(intent) read back as \(String(describing: again))")
    }

    // The file.
    guard var state = try? State(json: json) else { return }
    let written = state.json(writtenAt: WallTime(milliseconds: 0))
    guard let read = reread(written), let again = try? State(json: read) else {
        return require(false, "\(written.text) cannot be read back")
    }
    require(again.verdicts == state.verdicts, "other verdicts than \(written.text)")
    require(again.intents == state.intents, "other intents than \(written.text)")
    state.prune(now: WallTime(milliseconds: 0), keeping: .zero)
    require(state.intents.count <= again.intents.count, "pruning adds intents")
    for verdict in state.verdicts.values {
        require(!state.take(verdict) || state.verdicts[verdict.key] == verdict, "taken wrongly")
    }
}

private func reread(_ json: JSON) -> JSON? { try? JSON(parsing: json.bytes) }

private func requireKeys(_ field: String) {
    if let key = VerdictKey(field: field) {
        require(VerdictKey(field: key.field) == key, "\(key) read back otherwise")
    }
    if let key = PeerKey(field: field) {
        require(PeerKey(field: key.field) == key, "\(key) read back otherwise")
    }
    let whole = PeerKey(upstream: field, peer: field)
    require(PeerKey(field: whole.field) == whole, "\(whole) read back otherwise")
}
