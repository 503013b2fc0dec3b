// What does a dialogue file say? A word and the rest of the line for each step; comments begin with
// `#`, and errors point at the line.

import EventLoop
import Glibc
import Vocabulary

enum DialogueFile {
    /// A dialogue longer than this is a program.
    static let bytesMax = 65_536

    /// Reads the file that `setting` names.
    static func read(_ setting: Setting, at path: String) throws(SettingError) -> [DialogueStep] {
        let name = try setting.string(at: path)
        let text: String
        do throws(SystemError) {
            text = try contents(of: name)
        } catch {
            throw SettingError(setting.position, "\(path): \(name): \(error.reason)")
        }
        guard text.utf8.count <= bytesMax else {
            throw setting.expected("a file of at most \(bytesMax) bytes", at: path)
        }
        return try parse(text, file: name)
    }

    static func parse(_ text: String, file: String) throws(SettingError) -> [DialogueStep] {
        var steps: [DialogueStep] = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let start = line.firstIndex { $0 != " " && $0 != "\t" } ?? line.endIndex
            let content = line[start...]
            if content.isEmpty || content.hasPrefix("#") { continue }
            let column = line.utf8.distance(from: line.startIndex, to: start) + 1
            let position = Position(file: file, line: index + 1, column: column)
            let word = String(content.prefix { $0 != " " && $0 != "\t" })
            let rest = content.dropFirst(word.count + 1)
            guard DialogueStep.words.contains(word) else {
                throw Setting(.scalar(word, isQuoted: false), at: position)
                    .unknownWord(word, among: DialogueStep.words, at: "step")
            }
            let argument = Setting(.scalar(String(rest), isQuoted: true), at: position)
            steps.append(try DialogueStep.step(word, argument, at: word))
            guard steps.count <= DialogueStep.stepsMax else {
                throw argument.expected("at most \(DialogueStep.stepsMax) steps", at: word)
            }
        }
        return steps
    }

    private static func contents(of name: String) throws(SystemError) -> String {
        let raw = open(name, O_RDONLY | O_CLOEXEC)
        if raw < 0 { throw SystemError("open") }
        let descriptor = Descriptor(owning: raw)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while bytes.count <= bytesMax {
            let count = Glibc.read(descriptor.raw, &buffer, buffer.count)
            if count < 0 { throw SystemError("read") }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
