// Is every text either the definition of a kind of check, or a complaint that points into it? And
// can a kind that was accepted be used, or say why not?

import Vocabulary

@testable import Checks
@testable import Settings

@Sendable func dropIn(_ bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    if namesFiles(text) { return }
    let (dropIn, mistakes) = read(text)
    require((dropIn == nil) != mistakes.isEmpty, "\(mistakes.count) mistakes and a kind")
    require(read(text).mistakes == mistakes, "other complaints the second time: \(mistakes)")
    let lines = text.unicodeScalars.count { lineEnds.contains($0) } + 1
    for mistake in mistakes {
        require(mistake.position.file == file, "\(mistake) is of another file")
        require((0...lines + 1).contains(mistake.position.line), "\(mistake) of \(lines) lines")
        require(!mistake.message.isEmpty, "a complaint without words")
    }
    guard let dropIn else { return }
    require(registry.builtinKinds.contains(dropIn.base), "a kind made from \(dropIn.base)")
    require(
        dropIn.parameters.count <= DropIn.parametersMax,
        "\(dropIn.parameters.count) parameters"
    )
    use(dropIn)
}

private let file = "own.yaml"
private let registry = CheckRegistry.builtin
/// Settings that name a file: a text must not choose which are read.
private let forbidden = ["file", "ca", "certificate", "key"]
private let lineEnds: Set<Unicode.Scalar> = ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"]

private func namesFiles(_ text: String) -> Bool {
    let source = SettingsFile(path: file, environment: [:], reading: Reading())
    guard let root = try? source.tree(of: text) else { return false }
    var open = [root]
    while let setting = open.popLast() {
        switch setting.value {
        case .scalar: break
        case .list(let items): open += items
        case .map(let entries):
            if entries.contains(where: { forbidden.contains($0.key) }) { return true }
            open += entries.map(\.value)
        }
    }
    return false
}

private func read(_ text: String) -> (kind: DropIn?, mistakes: [SettingError]) {
    let reading = Reading()
    let source = SettingsFile(path: file, environment: ["NAME": "a"], reading: reading)
    let definition = CheckDefinitionFile(
        name: "own",
        path: file,
        registry: registry,
        environment: ["NAME": "a"]
    )
    let kind = reading.attempt { () throws(SettingError) -> DropIn in
        let nothing = Setting(.map([]), at: Position(file: file, line: 1, column: 1))
        let root = try source.tree(of: text) ?? nothing
        let dropIn = try definition.dropIn(from: root)
        try registry.validate(dropIn)
        return dropIn
    }
    let mistakes = reading.failure(files: [file])?.mistakes ?? []
    return (mistakes.isEmpty ? kind : nil, mistakes)
}

/// With every parameter given: it works, or the complaint has a place.
private func use(_ dropIn: DropIn) {
    let kinds = registry.adding([dropIn])
    let place = Position(file: "monitor.yaml", line: 1, column: 1)
    for value in ["1", "", "a b", "{\(dropIn.parameters.first?.name ?? "x")}"] {
        let entries = dropIn.parameters.map { parameter in
            Setting.Entry(
                key: parameter.name,
                position: place,
                value: Setting(.scalar(value, isQuoted: true), at: place)
            )
        }
        do {
            _ = try kinds.make("own", from: Options(entries, at: place, path: "own"))
        } catch {
            require(!error.message.isEmpty, "a complaint without words")
            require(["monitor.yaml", file].contains(error.position.file), "\(error) of neither")
        }
    }
    // A kind whose defaults suffice was tried with them.
    guard !dropIn.requiresParameters else { return }
    let made = try? kinds.make("own", from: Options([], at: place, path: "own"))
    require(made != nil, "accepted, and of no use")
}
