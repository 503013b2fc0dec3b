// What does `man muster` say? The same as every `--help`, of all commands on one page, with what is true of all of
// them. Made of the parser's own account of the commands, so that it cannot fall behind. Pure.

import Vocabulary

struct ManualPage {
    /// `help` is the parser's account as JSON.
    let help: JSON
    let version: String

    var text: String {
        let root = help["command"] ?? .null
        let commands = shown(root)
        var lines = [
            ".TH MUSTER 1 \"\" \"muster \(Self.escaped(version))\"", ".SH NAME",
            "muster \\- \(Self.sentence(root["abstract"]))", ".SH SYNOPSIS",
        ]
        for command in commands {
            lines.append(".B \(Self.escaped(name(command)))")
            lines += [synopsis(command), ".br"].filter { !$0.isEmpty }
        }
        lines.append(".SH COMMANDS")
        for command in commands {
            lines.append(".SS \(Self.escaped(name(command)))")
            lines.append(Self.escaped(command["abstract"]?.string ?? ""))
            if let more = command["discussion"]?.string { lines += [".PP", Self.escaped(more)] }
            for argument in arguments(of: command) {
                lines += [".TP", Self.bold(argument), Self.words(argument)]
            }
        }
        return (lines + Self.closing).joined(separator: "\n") + "\n"
    }

    // MARK: Commands

    /// Those that do something, in the order of `--help`; of a group its members.
    private func shown(_ command: JSON) -> [JSON] {
        let inner = (command["subcommands"]?.items ?? []).filter {
            $0["shouldDisplay"]?.bool != false && $0["commandName"] != "help"
        }
        return inner.flatMap { ($0["subcommands"]?.items ?? []).isEmpty ? [$0] : shown($0) }
    }

    private func name(_ command: JSON) -> String {
        let above = (command["superCommands"]?.items ?? []).compactMap(\.string)
        return (above + [command["commandName"]?.string ?? ""]).joined(separator: " ")
    }

    private func arguments(of command: JSON) -> [JSON] {
        (command["arguments"]?.items ?? []).filter {
            $0["shouldDisplay"]?.bool != false
                && !["help", "version"].contains($0["valueName"]?.string ?? "")
        }
    }

    private func synopsis(_ command: JSON) -> String {
        arguments(of: command).map { argument in
            let text = Self.spelling(argument)
            return Self.escaped(argument["isOptional"]?.bool == true ? "[\(text)]" : text)
        }.joined(separator: " ")
    }

    // MARK: Arguments

    private static func spelling(_ argument: JSON) -> String {
        let value = "<\(argument["valueName"]?.string ?? "value")>"
        if argument["kind"] == "positional" { return value }
        let name = argument["preferredName"]?["name"]?.string ?? ""
        let dashes = argument["preferredName"]?["kind"] == "short" ? "-" : "--"
        return dashes + name + (argument["kind"] == "option" ? " \(value)" : "")
    }

    private static func bold(_ argument: JSON) -> String {
        if argument["kind"] == "positional" { return ".I \(escaped(spelling(argument)))" }
        let names = (argument["names"]?.items ?? []).map { name in
            (name["kind"] == "short" ? "-" : "--") + (name["name"]?.string ?? "")
        }
        let value = argument["kind"] == "option" ? " <\(argument["valueName"]?.string ?? "")>" : ""
        return ".B \(escaped(names.joined(separator: ", ") + value))"
    }

    private static func words(_ argument: JSON) -> String {
        var text = argument["abstract"]?.string ?? ""
        if let value = argument["defaultValue"]?.string { text += " (default: \(value))" }
        return escaped(text.isEmpty ? "-" : text)
    }

    // MARK: Text

    /// Without the full stop that a name's line does not have.
    private static func sentence(_ json: JSON?) -> String {
        let text = json?.string ?? ""
        return escaped(text.hasSuffix(".") ? String(text.dropLast()) : text)
    }

    /// As roff wants it: a line that begins with a dot or an apostrophe would be a request, and a dash a hyphen.
    static func escaped(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
            // An empty line begins a paragraph.
            if line.isEmpty { return ".PP" }
            let escaped = String(line).replacing("\\", with: "\\e").replacing("-", with: "\\-")
            return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + escaped : escaped
        }.joined(separator: "\n")
    }

    private static let closing = [
        ".SH EXIT STATUS",
        "0 fine, 1 warning or wrong usage, 2 failing, 3 unknown, or muster was not reached. They are those of a",
        "Nagios plugin, which",
        ".B muster check", "is; of a plugin wrong usage is 3.", ".SH ENVIRONMENT",
        ".TP", ".B MUSTER_ADMIN", "Where commands find the admin endpoint.",
        ".TP", ".B MUSTER_ADMIN_CA", "A PEM file of the authorities believed of https.",
        ".TP", ".B MUSTER_TOKEN", "The token that the configuration asks for under admin.",
        ".SH SEE ALSO",
        "The documents in docs/: CONFIGURATION.md, CHECKS.md, OPERATIONS.md, API.md, PROXY.md, FLEET.md, STATE.md.",
    ]
}
