// What does it mean that Redis says no? Some words concern all that one does, some only writing, and each
// has something that a person can do about it.

import Redis
import Vocabulary

enum Refusal: Equatable {
    /// Reading goes on; writing is tried again.
    case writing
    /// An ACL forbids it: to write, where reading goes on.
    case right
    /// Our scripts are gone: they are loaded with the next connection.
    case scripts
    case other

    init(_ text: String) {
        switch Self.word(text) {
        case "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY", "TRYAGAIN":
            self = .writing
        case "NOSCRIPT": self = .scripts
        // A script that is refused what it does says so in its own error.
        case "ERR" where Self.inScripts.contains(where: text.contains): self = .writing
        case "NOPERM": self = .right
        case "ERR" where Self.ofRights.contains(where: text.contains): self = .right
        default: self = .other
        }
    }

    /// Of what is to be written that waits.
    var isOfWriting: Bool { self == .writing || self == .right }

    private static let inScripts = ["READONLY", "OOM ", "MISCONF", "NOREPLICAS"]
    private static let ofRights = ["ACL failure in script", "NOPERM", "can't run this command"]

    /// `READONLY` of `READONLY You can't write against a read only replica.`
    static func word(_ text: String) -> String {
        String(text.prefix { $0 != " " }.prefix(32)).printable
    }

    /// The command that an ACL forbids. Redis names it in quotes, from 7 on in scripts too: `to run the 'hget' command`.
    static func missingRight(_ text: String) -> String? {
        guard Refusal(text) == .right else { return nil }
        let parts = text.split(separator: "'", omittingEmptySubsequences: false)
        guard parts.count > 2, parts[0].hasSuffix("run the ") else { return nil }
        let name = String(parts[1].prefix(64)).printable
        return name.isEmpty ? nil : name
    }

    private static func right(_ text: String) -> String {
        let what =
            missingRight(text).map { "its ACL does not let this user run \($0): allow +\($0)" }
            ?? "its ACL lacks a right of this user"
        return what + "; docs/STATE.md names all that are needed"
    }

    static func advice(_ text: String) -> String? {
        switch word(text) {
        case "NOAUTH": "it wants a password: user:password@ before the host in store.url"
        case "WRONGPASS": "user or password in store.url is wrong"
        case "NOPERM": right(text)
        case "ERR" where text.contains("unknown command"):
            "that is no Redis to keep anything in: sentinels are named by redis+sentinel://HOST/NAME"
        case "ERR" where ofRights.contains(where: text.contains): right(text)
        case "READONLY": "it is a replica: name the master, or promote this one"
        case "OOM": "its maxmemory is used up"
        case "LOADING": "it is loading its data"
        case "MISCONF": "it cannot save to its disk"
        case "NOREPLICAS": "fewer of its replicas answer than its min-replicas-to-write wants"
        case "MASTERDOWN": "it is a replica whose master is away"
        case "CLUSTERDOWN", "MOVED", "CROSSSLOT", "ASK": "it is a cluster: name a single server"
        case "WRONGTYPE": "another program uses these keys: give one of the two another prefix"
        default: nil
        }
    }
}

extension RedisError {
    /// What is told of as one thing.
    var kind: String {
        switch self {
        case .closed: "closed"
        case .disconnected: "disconnected"
        case .tls: "tls"
        case .tooLong: "too long"
        case .timedOut: "timed out"
        case .refused(let text): Refusal.word(text)
        }
    }

    var advice: String? {
        switch self {
        case .refused(let text): Refusal.advice(text)
        case .tooLong: "another program uses these keys: give one of the two another prefix"
        case .tls(let why) where why.contains("expired") || why.contains("not yet valid"):
            "that certificate is over or not good yet, or one of the two clocks is wrong"
        // The server's own protocols and ciphers: nothing here changes them.
        case .tls(let why)
        where ["alert 40", "alert 70", "alert 71"].contains(where: why.contains):
            nil
        case .tls:
            "store.tls says whom to believe (ca, server-name) and what to show (certificate, key)"
        case .disconnected(let why)
        where why.contains("sentinel ")
            && ["NOAUTH", "WRONGPASS"].contains(where: why.contains):
            "that is no sentinel, or one with a password of its own: they are asked without one, and then with that of store.url"
        case .closed, .disconnected, .timedOut: nil
        }
    }
}
