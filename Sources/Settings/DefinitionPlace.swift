// Where in the configuration is this defined? Looked up when somebody asks, which is seldom: to keep a place
// for each of a hundred thousand peers would cost more than to read the file again.

public import Foundation
import Vocabulary

public enum DefinitionPlace {
    /// `peer` and `monitor` are ids; without them, the upstream itself. Nil where the file at `path` does not
    /// say it any more, or cannot be read.
    public static func find(
        _ path: String,
        upstream: String,
        peer: String? = nil,
        monitor: String? = nil,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> Position? {
        let (root, _) = SettingsTree.read(path, environment: environment, reading: Reading())
        guard let entry = root?["upstreams"]?.entry(upstream) else { return nil }
        if let peer {
            return entry.value["peers"]?.items.first { isPeer($0, peer) }?.position
        }
        if let monitor {
            return entry.value["monitors"]?.items.first { isMonitor($0, monitor) }?.position
        }
        return entry.position
    }

    private static func isPeer(_ item: Setting, _ id: String) -> Bool {
        let place = Place(path: "peer", shape: "upstreams.*.peers[]")
        return PeerReader(place: place, reading: Reading()).read(item, at: place)?.definition.id
            == id
    }

    private static func isMonitor(_ item: Setting, _ id: String) -> Bool {
        if case .scalar(let kind, _) = item.value { return kind == id }
        guard case .map(let entries) = item.value, let entry = entries.first else { return false }
        if case .scalar(let own, _)? = entry.value["id"]?.value { return own == id }
        return entry.key == id
    }
}

extension Setting {
    fileprivate func entry(_ key: String) -> Entry? {
        guard case .map(let entries) = value else { return nil }
        return entries.first { $0.key == key }
    }

    fileprivate subscript(_ key: String) -> Setting? { entry(key)?.value }

    fileprivate var items: [Setting] {
        if case .list(let items) = value { return items }
        return []
    }
}
