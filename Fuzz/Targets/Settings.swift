// Is every YAML text either a configuration or a list of complaints that point into it?
//
// Neither includes nor the folder of drop-in checks are looked into: a text must not choose which
// files of this machine are read.

import Checks
import Vocabulary

@testable import Settings

@Sendable func settings(_ bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    let first = complaints(of: text)
    require(first == complaints(of: text), "other complaints the second time: \(first)")
    let lines = text.unicodeScalars.count { lineEnds.contains($0) } + 1
    for complaint in first {
        let position = complaint.position
        require(position.file == file, "\(complaint) is of another file")
        // An empty value at the end of the file is reported on the line after it.
        require((0...lines + 1).contains(position.line), "\(complaint) of \(lines) lines")
        require(position.column >= 0, "\(complaint) before its line")
        require(!complaint.message.isEmpty, "a complaint without words")
    }
}

private let file = "fuzz.yaml"
private let environment = ["NAME": "a value", "PORT": "9001", "EMPTY": ""]
private let registry = CheckRegistry.builtin
/// Those of YAML; CR LF counts twice, which only makes the check milder.
private let lineEnds: Set<Unicode.Scalar> = ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"]

func complaints(of text: String) -> [SettingError] {
    let reading = Reading()
    let source = SettingsFile(path: file, environment: environment, reading: reading)
    let root = reading.attempt { () throws(SettingError) in try source.tree(of: text) }
    if let root = root.flatMap({ $0 }), !root.isNull,
        var top = Section(root, at: .top, reading: reading)
    {
        read(&top)
    }
    return reading.failure(files: [file])?.mistakes ?? []
}

/// As `MusterConfiguration.load` does, without the folders it would look into.
private func read(_ top: inout Section) {
    _ = top.take("include")
    _ = top.string("checks-dir")
    _ = AgentConfiguration.read(top.section("agent"))
    _ = StoreConfiguration.read(top.section("store"), beside: file)
    let upstreams = UpstreamsReader.read(top.section("upstreams"), registry: registry)
    var binds = Binds(reading: top.reading)
    _ = ProxyReader(known: upstreams).read(top.section("proxy"), &binds)
    _ = AgentCheckReader(known: upstreams, file: file, keepsIntents: true)
        .read(top.section("agent-check"), &binds)
    _ = AdminConfiguration.read(top.section("admin"), &binds, beside: file)
    _ = LogConfiguration.read(top.section("log"))
    top.finish()
}
