// Which listeners in mode tcp are the servers of an nginx's streams, and which monitors are the checks of NGINX Plus?

import Vocabulary

extension NginxImport {
    mutating func streamServer(_ directive: NginxDirective, _ outer: NginxScope) {
        var scope = outer
        var listens: [NginxDirective] = []
        var pass: NginxDirective?
        var health: NginxDirective?
        var dropsSessions = false
        for inner in directive.block ?? [] {
            switch inner.name {
            case "listen": listens.append(inner)
            case "proxy_pass": pass = inner
            case "health_check": health = inner
            case "proxy_session_drop" where inner.first == "on": dropsSessions = true
            default: if !scope.take(inner) { other(inner) }
            }
        }
        guard let pass else {
            note(
                directive,
                "leads to no upstream",
                text: "server { listen \(listens.map(\.first).joined(separator: ", ")); }"
            )
            return
        }
        var index = places[Self.key(pass.first, isStream: true)]
        if index == nil, !pass.first.contains("$"),
            let address = NginxUpstream.address(pass.first, defaultPort: nil)
        {
            places[Self.key(pass.first, isStream: true)] = upstreams.count
            index = upstreams.count
            upstreams.append(
                NginxUpstream(address: address, called: draft.name(for: pass.first), for: pass)
            )
        }
        guard let index else {
            note(
                pass,
                pass.first.contains("$")
                    ? "a variable; the upstream has to be named"
                    : "expected an upstream of this file, or an address"
            )
            for listen in listens { note(listen, "") }
            return
        }
        scope.apply(to: &upstreams[index], isStream: true)
        scope.apply(to: &draft, isStream: true)
        if let health {
            healthCheck(health, of: index, isStream: true)
            // Connections that are there outlive a check that fails, unless it says otherwise.
            upstreams[index].set(
                "on-down",
                .word(dropsSessions ? "close-all" : "keep"),
                for: directive
            )
        }
        for listen in listens {
            for bind in bind(listen).map(both) ?? [] {
                if binds.contains(bind) {
                    note(listen, "\(bind) is taken already")
                    continue
                }
                binds.append(bind)
                sources[bind] = "\(directive.place): server"
                streams[bind] = upstreams[index].draft.name
            }
        }
    }

    // MARK: Checks of NGINX Plus

    mutating func healthCheck(_ directive: NginxDirective, of index: Int, isStream: Bool) {
        var settings: [String: String] = [:]
        var left: [String] = []
        let known: Set = [
            "interval", "fails", "passes", "uri", "match", "port", "type", "grpc_service",
        ]
        for word in directive.arguments {
            let sides = word.split(separator: "=", maxSplits: 1).map(String.init)
            if sides.count == 2, known.contains(sides[0]) {
                settings[sides[0]] = sides[1]
            } else {
                left.append(word)
            }
        }
        let match = settings["match"].flatMap { matches[isStream ? "stream \($0)" : $0] }
        if let match { usedMatches.insert("\(match.place)") }
        let interval =
            settings["interval"].flatMap { Span(nginx: $0) } ?? Span(milliseconds: 5_000)
        var entries = ProbeSettings.entries(
            interval: interval,
            // There a check waits as requests do, a minute mostly; here until the next is due.
            timeout: interval,
            rise: settings["passes"].flatMap { Int($0) } ?? 1,
            fall: settings["fails"].flatMap { Int($0) } ?? 1
        )
        if let port = settings["port"].flatMap({ Int($0) }), (1...65_535).contains(port) {
            entries.append(.init("port", .number(port)))
        }
        var notes: [Note] = []
        if !left.isEmpty {
            notes.append(
                Note(
                    place: directive.place,
                    text: "health_check \(left.joined(separator: " "))",
                    why: "no counterpart"
                )
            )
        }
        if let name = settings["match"], match == nil {
            notes.append(
                Note(
                    place: directive.place,
                    text: "match=\(name)",
                    why: "expected a match of this file"
                )
            )
        }
        if settings["type"] == "grpc" {
            let service = settings["grpc_service"].map { [Tree.Entry("service", .text($0))] } ?? []
            upstreams[index].add("grpc", service + entries, notes: notes)
            return
        }
        if isStream {
            var steps = NginxMatch(match)
            let list = steps.steps()
            let dialogue = list.isEmpty ? [] : [Tree.Entry("steps", .list(list))]
            upstreams[index].add("tcp", dialogue + entries, notes: notes + steps.notes)
            return
        }
        var conditions = NginxMatch(match)
        let expect = conditions.expectation()
        let path = Tree.Entry("path", .text(RequestPath.sent(settings["uri"] ?? "/")))
        upstreams[index].add(
            "http",
            [path] + (expect.map { [Tree.Entry("expect", $0)] } ?? []) + entries,
            notes: notes + conditions.notes
        )
    }
}
