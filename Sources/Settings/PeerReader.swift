// How does a user write a peer? In nginx's words on one line, or as a map. Both take the same
// settings, and both give the peer a name that is not its place in the list.

import Health
import Vocabulary

struct PeerReader {
    /// A peer, and where to point when it does not fit the others.
    struct Peer {
        var definition: PeerDefinition
        var path: String
        var position: Position
    }

    let place: Place
    let reading: Reading

    static let failsMax = 1_000_000
    static let failTimeoutRange = Nanoseconds.milliseconds(1)...Nanoseconds.seconds(86_400)
    static let connectionsMax = 1_000_000
    /// Holds any address: a socket path has at most 107 bytes, a host name 253.
    static let idBytesMax = 264

    func read(_ items: [Setting]) -> [Peer] {
        var peers: [Peer] = []
        var firsts: [String: Position] = [:]
        for (index, item) in items.enumerated() {
            let place = place.item(index)
            guard let peer = read(item, at: place) else { continue }
            let id = peer.definition.id
            if let first = firsts[id] {
                reading.report(
                    SettingError(
                        peer.position,
                        "\(place.path): peer '\(id)' is written twice: first at \(first)"
                    )
                )
            } else {
                firsts[id] = peer.position
                peers.append(peer)
            }
        }
        return peers
    }

    /// One by itself.
    func read(_ item: Setting, at place: Place) -> Peer? {
        switch item.value {
        case .scalar: readWords(item, at: place)
        case .map: readMap(item, at: place)
        case .list: refuse(item, at: place)
        }
    }

    private func refuse(_ setting: Setting, at place: Place) -> Peer? {
        reading.report(
            setting.expected("host:port with nginx's words, or a map", at: place.path)
        )
        return nil
    }

    // MARK: A line of words

    private static let words = [
        "weight=", "max_fails=", "fail_timeout=", "max_conns=", "backup", "down",
    ]

    private func readWords(_ setting: Setting, at place: Place) -> Peer? {
        guard case .scalar(let text, let isQuoted) = setting.value, !setting.isNull else {
            return refuse(setting, at: place)
        }
        // Words of a plain line stand where they were written; in quotes they begin one further.
        var column = setting.position.column + (isQuoted ? 1 : 0)
        var words: [Setting] = []
        for part in text.split(separator: " ", omittingEmptySubsequences: false) {
            var position = setting.position
            position.column = column
            column += part.unicodeScalars.count + 1
            if !part.isEmpty {
                words.append(Setting(.scalar(String(part), isQuoted: false), at: position))
            }
        }
        guard let first = words.first else { return refuse(setting, at: place) }
        let address = reading.attempt { () throws(SettingError) in
            try first.address(at: place.path)
        }
        // Read on without an address: a second mistake in the line is worth its own report.
        let known = address ?? .host("unread", port: 1)
        var peer = Peer(
            definition: PeerDefinition(address: known),
            path: place.path,
            position: setting.position
        )
        var seen: Set<String> = []
        for word in words.dropFirst() { take(word, into: &peer, &seen) }
        return address == nil ? nil : peer
    }

    private func take(_ word: Setting, into peer: inout Peer, _ seen: inout Set<String>) {
        guard case .scalar(let text, _) = word.value else { return }
        let key = text.split(separator: "=", maxSplits: 1).first.map(String.init) ?? text
        let path = "\(peer.path).\(key)"
        let value = Setting(
            .scalar(String(text.dropFirst(key.count + 1)), isQuoted: false),
            at: word.position
        )
        guard seen.insert(key).inserted else {
            reading.report(SettingError(word.position, "\(path) is written twice in one line"))
            return
        }
        var definition = peer.definition
        let mistake: Void? = reading.attempt { () throws(SettingError) in
            switch (key, text == key) {
            case ("weight", false):
                definition.weight = try value.int(in: 1...PeerDefinition.weightMax, at: path)
            case ("max_fails", false):
                definition.maxFails = try value.int(in: 0...Self.failsMax, at: path)
            case ("fail_timeout", false):
                definition.failTimeout = try Self.nginxTime(value, at: path)
            case ("max_conns", false):
                // nginx: 0 means no limit.
                let count = try value.int(in: 0...Self.connectionsMax, at: path)
                definition.maxConnections = count == 0 ? nil : count
            case ("backup", true): definition.isBackup = true
            case ("down", true): definition.isDisabled = true
            default: throw word.unknownWord(text, among: Self.words, at: peer.path)
            }
        }
        if mistake == nil { return }
        peer.definition = definition
    }

    /// nginx takes a bare number for seconds.
    private static func nginxTime(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> Nanoseconds {
        guard case .scalar(let text, _) = setting.value, Int(text) != nil else {
            return try setting.duration(in: failTimeoutRange, at: path)
        }
        return try Setting(.scalar(text + "s", isQuoted: false), at: setting.position)
            .duration(in: failTimeoutRange, at: path)
    }

    static func zone(_ setting: Setting, _ path: String) throws(SettingError) -> String {
        let zone = try setting.string(at: path)
        if let problem = Name.problem(in: zone) {
            throw SettingError(setting.position, "\(path): \(problem)")
        }
        return zone
    }

    // MARK: A map

    private func readMap(_ setting: Setting, at place: Place) -> Peer? {
        guard var section = Section(setting, at: place, reading: reading) else { return nil }
        let id = section.read("id") { (setting, path) throws(SettingError) in
            let id = try setting.string(at: path)
            guard (1...Self.idBytesMax).contains(id.utf8.count),
                id.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
            else {
                throw setting.expected(
                    "1 to \(Self.idBytesMax) letters without spaces",
                    at: path
                )
            }
            return id
        }
        let hasAddress = section.position
        let before = reading.mistakes.count
        let address = section.address("address")
        if address == nil, reading.mistakes.count == before { section.reportMissing("address") }

        var definition = PeerDefinition(id: id, address: address ?? .host("unread", port: 1))
        definition.weight = section.int("weight", in: 1...PeerDefinition.weightMax) ?? 1
        definition.isBackup = section.bool("backup", default: false)
        definition.isDisabled = section.bool("down", default: false)
        definition.zone = section.read("zone", Self.zone)
        definition.maxConnections = section.int("max-connections", in: 1...Self.connectionsMax)
        // nginx's spelling and ours; whoever writes both means something we cannot guess.
        let fails: Int? = section.read(spelled: ["max-fails", "max_fails"]) {
            (setting, path) throws(SettingError) in
            try setting.int(in: 0...Self.failsMax, at: path)
        }
        if let fails { definition.maxFails = fails }
        let window: Nanoseconds? = section.read(spelled: ["fail-timeout", "fail_timeout"]) {
            (setting, path) throws(SettingError) in
            try Self.nginxTime(setting, at: path)
        }
        if let window { definition.failTimeout = window }
        section.finish()
        if address == nil { return nil }
        return Peer(
            definition: definition,
            path: place.path,
            position: hasAddress
        )
    }
}
