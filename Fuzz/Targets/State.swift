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
    if let intent = Asked<Intent>.read(json, of: key.peerKey) {
        let again = reread(intent.json).flatMap { Asked<Intent>.read($0, of: key.peerKey) }
        require(again == intent, "\(intent) read back as \(String(describing: again))")
    }

    // The file.
    let now = WallTime(milliseconds: 0)
    let state = State()
    guard (try? state.load(json)) != nil else { return }
    let written = state.snapshot(at: now)()
    let again = State()
    guard let read = try? JSON(parsing: written, limits: JSONLimits(bytes: 1 << 20)),
        (try? again.load(read)) == 0
    else {
        return require(false, "\(String(decoding: written, as: UTF8.self)) cannot be read back")
    }
    require(
        again.snapshot(at: now)() == written,
        "another state than \(String(decoding: written, as: UTF8.self))"
    )
    let count = state.shelf(of: Asked<Intent>.self).count
    state.prune(at: now)
    require(state.shelf(of: Asked<Intent>.self).count <= count, "pruning adds intents")
    for verdict in state.shelf(of: Verdict.self).records.values {
        require(!state.shelf(of: Verdict.self).take(verdict), "\(verdict) is taken twice")
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
