// Is a dialogue file a list of steps that mean the same when they are written down again, or a
// complaint that points into it?

import Vocabulary

@testable import Checks

@Sendable func dialogue(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let lines = text.utf8.count { $0 == 0x0A } + 1
    let steps: [DialogueStep]
    do {
        steps = try DialogueFile.parse(text, file: name)
    } catch {
        require(error.position.file == name, "\(error) is of another file")
        require((1...lines).contains(error.position.line), "\(error) of \(lines) lines")
        require(error.position.column >= 1, "\(error) before its line")
        return require(!error.message.isEmpty, "a complaint without words")
    }
    require(steps.count <= DialogueStep.stepsMax, "\(steps.count) steps")
    require(steps.count <= lines, "\(steps.count) steps on \(lines) lines")
    let written = steps.map(line).joined(separator: "\n")
    guard let again = try? DialogueFile.parse(written, file: name) else {
        return require(false, "'\(written)' cannot be read back")
    }
    require(again.map(line) == steps.map(line), "'\(written)' read back otherwise")
}

private let name = "fuzz.txt"

private func line(_ step: DialogueStep) -> String {
    switch step {
    case .send(let bytes): return "send-hex " + hex(bytes)
    case .expect(let bytes): return "expect-hex " + hex(bytes)
    case .expectPattern(let pattern): return "expect-pattern " + pattern.text
    case .reject(let bytes): return "reject-hex " + hex(bytes)
    case .rejectPattern(let pattern): return "reject-pattern " + pattern.text
    }
}

private func hex(_ bytes: [UInt8]) -> String {
    require((1...DialogueStep.bytesMax).contains(bytes.count), "a step of \(bytes.count) bytes")
    return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
