// What comes of another system's configuration? Upstreams and listeners as muster has them, and a note for
// each line that has no counterpart. An importer fills it in, and the writer makes a file of it.

import Vocabulary

/// A line of the source of which something is not in the result.
struct Note: Hashable, Sendable {
    var place: SourcePlace
    /// As it was written, or the part of it that is left.
    var text: String
    var why: String

    /// Of whatever forbids something, or asks who it is.
    static let openHere = "OPEN HERE: muster forbids nothing by rules, and asks nobody who they are"
}

/// Where something stands in the source.
struct SourcePlace: Hashable, Sendable, CustomStringConvertible {
    var file: String
    var line: Int

    var description: String { "\(file):\(line)" }
}

/// A value of YAML.
indirect enum Tree: Equatable, Sendable {
    /// Written in quotes where it could be taken for anything but a text.
    case text(String)
    /// A number, a duration, a word of muster's own.
    case word(String)
    case list([Tree])
    case map([Entry])

    struct Entry: Equatable, Sendable {
        var key: String
        var value: Tree

        init(_ key: String, _ value: Tree) {
            self.key = key
            self.value = value
        }
    }

    static func number(_ number: Int) -> Tree { .word("\(number)") }
    static func flag(_ value: Bool) -> Tree { .word(value ? "true" : "false") }
    static func span(_ span: Span) -> Tree { .word(span.text) }
}

/// One item of a list, with what there is to say of it.
struct DraftItem: Equatable, Sendable {
    var tree: Tree
    var notes: [Note] = []
}

struct DraftUpstream: Equatable, Sendable {
    var name: String
    /// What it was, and where: no note, for nothing is missing.
    var source = ""
    var notes: [Note] = []
    var settings: [Tree.Entry] = []
    var peers: [DraftItem] = []
    var monitors: [DraftItem] = []

    mutating func set(_ key: String, _ value: Tree) {
        if let place = settings.firstIndex(where: { $0.key == key }) {
            settings[place].value = value
        } else {
            settings.append(.init(key, value))
        }
    }
}

struct DraftRoute: Equatable, Sendable {
    var host = "*"
    var path = "/"
    var stripsPrefix = false
    var upstream: String
}

struct DraftListener: Equatable, Sendable {
    enum Mode: Equatable, Sendable {
        case tcp(upstream: String)
        case http([DraftRoute])
    }

    var bind: String
    /// What it was, and where.
    var source = ""
    var mode: Mode
    var notes: [Note] = []
}

struct Draft: Equatable, Sendable {
    var upstreams: [DraftUpstream] = []
    var listeners: [DraftListener] = []
    var threads: Int?
    /// Of `proxy.timeouts`, the longest that any part of the source asks for.
    private var asked: [String: Span] = [:]
    /// What a part of the source needs that says something else, or nothing, about it.
    private var needed: [String: Span] = [:]
    /// What the parts of the source ask of one timer, by its name there.
    private var asks: [String: [Ask]] = [:]
    /// What belongs to no upstream and no listener.
    var notes: [Note] = []
    /// How many notes tell of what was forbidden.
    private(set) var openCount = 0
    /// What is the same for the eye, and not quite in effect.
    var hints: [String] = []

    /// Names that are taken, as they are written here.
    private var names: Set<String> = []

    static let timeoutKeys = [
        "connect", "request-head", "client-idle", "body-idle", "response", "peer-idle",
        "tunnel-idle",
    ]
    static let timeoutMax = Span(milliseconds: 86_400_000)
    /// Of `proxy.timeouts`, what holds where nothing is written.
    static let timeoutDefaults = [
        "connect": Span(milliseconds: 1_000), "request-head": Span(milliseconds: 10_000),
        "client-idle": Span(milliseconds: 60_000),
        "response": Span(milliseconds: 60_000), "body-idle": Span(milliseconds: 30_000),
        "tunnel-idle": Span(milliseconds: 3_600_000),
    ]

    /// A name for an upstream that was called `name`: the same, but for what muster's names cannot have.
    mutating func name(for name: String) -> String {
        let bytes = name.utf8.prefix(Name.bytesMax - 8).map { byte in
            Name.isName(String(UnicodeScalar(byte)), atMost: 1) ? byte : UInt8(ascii: "-")
        }
        let base = bytes.isEmpty ? "upstream" : String(decoding: bytes, as: UTF8.self)
        var number = 1
        var candidate = base
        while !names.insert(candidate).inserted {
            number += 1
            candidate = "\(base)-\(number)"
        }
        return candidate
    }

    /// Of several that differ the longest holds: a shorter one would cut what used to be served.
    mutating func raise(_ timeout: String, to span: Span) {
        asked[timeout] = max(asked[timeout] ?? span, span)
    }

    /// Never shorter than `span`: it makes an end later, and no end that would be without it earlier.
    mutating func keep(_ timeout: String, atLeast span: Span) {
        needed[timeout] = max(needed[timeout] ?? span, span)
    }

    /// A part of the source says this of a timer; without a line it is what holds where nothing is said.
    mutating func ask(_ timer: String, _ span: Span, at place: SourcePlace?, _ text: String = "") {
        asks[timer, default: []].append(Ask(span: span, place: place, text: text))
    }

    private struct Ask: Equatable, Sendable {
        var span: Span
        var place: SourcePlace?
        var text: String
    }

    /// Of parts that ask for less than another does.
    mutating func tellOfShorter() {
        for timer in asks.keys.sorted() {
            let asks = asks[timer] ?? []
            guard let longest = asks.map(\.span).max() else { continue }
            for ask in asks where ask.span < longest {
                guard let place = ask.place else { continue }
                notes.append(
                    Note(
                        place: place,
                        text: ask.text,
                        why:
                            "timeouts are the process's here: the longest that is asked for, \(longest.text)"
                    )
                )
            }
        }
    }

    /// Of `proxy.timeouts`, what is to be written.
    var timeouts: [String: Span] {
        var timeouts = asked
        for (key, span) in needed {
            guard let held = asked[key] ?? Self.timeoutDefaults[key] else { continue }
            if span > held { timeouts[key] = span }
        }
        return timeouts.mapValues { min(max($0, Span(milliseconds: 1)), Self.timeoutMax) }
    }

    /// A line may hold for many parts, or be asked about many times: what there is to say of it is said at the first.
    mutating func tellOnce() {
        var told: Set<Note> = []
        func new(_ notes: [Note]) -> [Note] { notes.filter { told.insert($0).inserted } }
        // As they are written.
        notes = new(notes)
        for index in upstreams.indices {
            upstreams[index].notes = new(upstreams[index].notes)
            for peer in upstreams[index].peers.indices {
                upstreams[index].peers[peer].notes = new(upstreams[index].peers[peer].notes)
            }
            for monitor in upstreams[index].monitors.indices {
                upstreams[index].monitors[monitor].notes = new(
                    upstreams[index].monitors[monitor].notes
                )
            }
        }
        for index in listeners.indices { listeners[index].notes = new(listeners[index].notes) }
    }

    /// What used to be forbidden is more than a setting that is missing, so it is told first.
    mutating func tellOfOpen() {
        let all =
            notes + listeners.flatMap(\.notes)
            + upstreams.flatMap { upstream in
                upstream.notes + (upstream.peers + upstream.monitors).flatMap(\.notes)
            }
        let places = all.filter { $0.why == Note.openHere }.map { "\($0.place)" }
        openCount = places.count
        if places.isEmpty { return }
        let more = places.count > Self.placesMax ? " and \(places.count - Self.placesMax) more" : ""
        hints.insert(
            "OPEN HERE, where it was forbidden or behind a password: see \(places.prefix(Self.placesMax).joined(separator: ", "))\(more).",
            at: 0
        )
    }

    private static let placesMax = 20

    /// Every note there is.
    var noteCount: Int {
        notes.count + listeners.reduce(0) { $0 + $1.notes.count }
            + upstreams.reduce(0) { sum, upstream in
                sum + upstream.notes.count
                    + (upstream.peers + upstream.monitors).reduce(0) { $0 + $1.notes.count }
            }
    }
}
