// What is an nginx configuration in muster's words? Upstreams stay upstreams, servers with their locations become
// listeners with routes, and whatever else nginx does with a request is a comment.

import Patterns
import Vocabulary

public struct NginxImport {
    var draft = Draft()
    var upstreams: [NginxUpstream] = []
    /// Places in `upstreams`, by `key`.
    var places: [String: Int] = [:]
    var matches: [String: NginxDirective] = [:]
    /// What each address is asked for, in the order in which they come.
    var binds: [String] = []
    var addresses: [String: NginxAddress] = [:]
    var streams: [String: String] = [:]
    var sources: [String: String] = [:]
    /// Of `[::]`, where version 4 is taken too.
    var dualPorts: Set<String> = []
    var bindNotes: [String: [Note]] = [:]

    public static let bytesMax = 16 << 20

    /// Reads `file`, and asks `load` for what it includes.
    public static func read(_ file: SourceFile, load: @escaping SourceLoader) -> Imported {
        let tree = NginxTree(file, load: load)
        var reader = NginxImport()
        reader.draft.notes = tree.notes
        reader.read(tree.directives)
        return Imported(reader.draft, from: file.path, by: "muster import nginx")
    }

    mutating func note(_ directive: NginxDirective, _ why: String, text: String? = nil) {
        draft.notes.append(Note(place: directive.place, text: text ?? directive.text, why: why))
    }

    /// With all that is in it.
    mutating func tellWhole(_ directive: NginxDirective, _ why: String) {
        note(directive, why)
        for inner in directive.block ?? [] {
            // What stands in an `if`, say.
            tellWhole(inner, Self.forbids(inner) || Self.refuses(inner) ? Note.openHere : "")
        }
    }

    /// Whether somebody is not let in because of it.
    static func forbids(_ directive: NginxDirective) -> Bool {
        switch directive.name {
        case "deny", "internal", "limit_except", "auth_jwt", "valid_referers", "secure_link": true
        case "auth_basic", "auth_request": directive.first != "off"
        case "ssl_verify_client": ["on", "optional"].contains(directive.first)
        default: directive.name.hasPrefix("access_by_lua")
        }
    }

    /// Within a part of a server; of a whole one there is nothing left that could be open.
    static func refuses(_ directive: NginxDirective) -> Bool {
        directive.name == "return"
            && ["401", "403", "404", "405", "410", "444"].contains(directive.first)
    }

    /// What an upstream is found by: nginx compares names without regard to case. Those of streams are apart.
    static func key(_ name: String, isStream: Bool = false) -> String {
        let text = name.hasPrefix("unix:") ? name : name.lowercased()
        return isStream ? "stream \(text)" : text
    }

    // MARK: Contexts

    mutating func read(_ directives: [NginxDirective]) {
        var web: [NginxDirective] = []
        var stream: [NginxDirective] = []
        var rest: [NginxDirective] = []
        for directive in directives {
            switch (directive.name, directive.block) {
            case ("http", let block?): web += block
            case ("stream", let block?): stream += block
            case ("events", let block?):
                for inner in block { note(inner, "for nginx's own loop") }
            // A file that is included in `http`, read by itself.
            case ("server", .some), ("upstream", .some), ("map", .some), ("match", .some):
                web.append(directive)
            default: rest.append(directive)
            }
        }
        for directive in web where directive.name == "match" {
            matches[directive.first] = directive
        }
        for directive in stream where directive.name == "match" {
            matches["stream \(directive.first)"] = directive
        }
        for directive in web where directive.name == "upstream" {
            upstream(directive, isStream: false)
        }
        for directive in stream where directive.name == "upstream" {
            upstream(directive, isStream: true)
        }
        for server in web + stream where server.name == "server" {
            for listen in server.block ?? [] where listen.name == "listen" {
                guard listen.arguments.contains("ipv6only=off") else { continue }
                let parsed = HAProxyAddress.parse(listen.first)
                if let parsed, parsed.host == "::" {
                    dualPorts.insert(parsed.port.isEmpty ? "80" : parsed.port)
                }
            }
        }
        // A script speaks of upstreams, wherever it stands.
        var scope = NginxScope()
        scope.enter(rest + web)
        for directive in rest {
            if !scope.take(directive) { other(directive) }
        }
        for directive in web where !["server", "upstream", "match"].contains(directive.name) {
            if !scope.take(directive) { other(directive) }
        }
        for directive in web where directive.name == "server" { server(directive, scope) }
        var streamScope = NginxScope()
        for directive in stream where !["server", "upstream", "match"].contains(directive.name) {
            if !streamScope.take(directive) { other(directive) }
        }
        for directive in stream where directive.name == "server" {
            streamServer(directive, streamScope)
        }
        for directive in web + stream where directive.name == "match" {
            if !usedMatches.contains("\(directive.place)") {
                tellWhole(directive, "no health_check names it")
            }
        }
        finish()
    }

    var usedMatches: Set<String> = []

    mutating func other(_ directive: NginxDirective) {
        switch directive.name {
        case "init_worker_by_lua_block", "init_by_lua_block", "init_worker_by_lua", "init_by_lua":
            script(directive)
        case "worker_processes":
            if let count = Int(directive.first), (1...256).contains(count) {
                draft.threads = count
            } else {
                note(directive, "one thread a core is the default here")
            }
        case _ where Self.forbids(directive): tellWhole(directive, Note.openHere)
        default: tellWhole(directive, NginxScope.reason(for: directive))
        }
    }

    mutating func upstream(_ directive: NginxDirective, isStream: Bool) {
        let key = Self.key(directive.first, isStream: isStream)
        if places[key] != nil {
            tellWhole(directive, "a second one of this name")
            return
        }
        places[key] = upstreams.count
        upstreams.append(
            NginxUpstream(directive, called: draft.name(for: directive.first), isStream: isStream)
        )
    }

    // MARK: Lua

    mutating func script(_ directive: NginxDirective) {
        let text = directive.lua ?? directive.first
        let script = Durpina.read(text, line: directive.place.line)
        func place(_ line: Int) -> SourcePlace {
            SourcePlace(file: directive.place.file, line: line)
        }
        for (request, line) in script.requests {
            switch request {
            case .monitor(let name, let monitor):
                guard let index = places[Self.key(name)] else {
                    draft.notes.append(
                        Note(
                            place: place(line),
                            text: "\(name): monitor \(monitor.kind)",
                            why: "expected an upstream of this file"
                        )
                    )
                    continue
                }
                upstreams[index].add(
                    monitor.kind,
                    monitor.entries,
                    notes: monitor.left.map {
                        Note(
                            place: place(line),
                            text: "monitor \(monitor.kind): \($0.0)",
                            why: $0.1
                        )
                    }
                )
            case .peer(let name, let address, let words, let left):
                guard let index = places[Self.key(name)] else {
                    draft.notes.append(
                        Note(
                            place: place(line),
                            text: "\(name): add_peer \(address)",
                            why: "expected an upstream of this file"
                        )
                    )
                    continue
                }
                upstreams[index].addPeer(address, words, left, at: place(line))
            }
        }
        for (line, text, why) in script.notes {
            draft.notes.append(Note(place: place(line), text: text, why: why))
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for number in script.left.sorted() {
            let index = number - directive.place.line
            guard lines.indices.contains(index) else { continue }
            let line = lines[index].drop { $0 == " " || $0 == "\t" }
            let isTaken = script.requests.contains { $0.line == number }
            draft.notes.append(
                Note(
                    place: place(number),
                    text: String(line),
                    why: isTaken
                        ? "what is in it is taken over, whatever it depends on"
                        : "Lua that is not followed"
                )
            )
        }
    }

    // MARK: At the end

    mutating func finish() {
        for index in upstreams.indices { upstreams[index].finish() }
        draft.upstreams = upstreams.map(\.draft)
        for bind in binds {
            let mode: DraftListener.Mode
            if let name = streams[bind] {
                mode = .tcp(upstream: name)
            } else {
                let table = (addresses[bind] ?? NginxAddress()).table(of: bind)
                bindNotes[bind, default: []] += table.notes
                // Not even a name leads to those that lead on.
                if table.routes.isEmpty { continue }
                mode = .http(table.routes)
            }
            draft.listeners.append(
                DraftListener(
                    bind: bind,
                    source: sources[bind] ?? "",
                    mode: mode,
                    notes: bindNotes.removeValue(forKey: bind) ?? []
                )
            )
        }
        draft.hints += Self.differences(draft)
        // Of addresses that lead nowhere.
        for key in bindNotes.keys.sorted() { draft.notes += bindNotes[key] ?? [] }
    }
}
