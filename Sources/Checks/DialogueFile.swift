// What does a dialogue file say? A word and the rest of the line for each step; comments begin with
// `#`, and errors point at the line.

import EventLoop
import Vocabulary

enum DialogueFile {
    /// A dialogue longer than this is a program.
    static let bytesMax = 65_536

    /// Reads the file that `setting` names.
    static func read(_ setting: Setting, at path: String) throws(SettingError) -> [DialogueStep] {
        let name = try setting.string(at: path)
        let bytes: [UInt8]
        do throws(WholeFile.Problem) {
            bytes = try WholeFile.contents(of: name, atMost: bytesMax)
        } catch {
            throw SettingError(setting.position, "\(path): \(name): \(error)")
        }
        return try parse(String(decoding: bytes, as: UTF8.self), file: name)
    }

    static func parse(_ text: String, file: String) throws(SettingError) -> [DialogueStep] {
        var steps: [DialogueStep] = []
        var last: Setting?
        // Bytes, not characters: CR LF is one character, and so is a blank with an accent after it.
        let lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, ended) in lines.enumerated() {
            let line = ended.last == 0x0D ? ended.dropLast() : ended
            let content = line.drop(while: isBlank)
            if content.isEmpty || content.first == UInt8(ascii: "#") { continue }
            let column = line.count - content.count + 1
            let position = Position(file: file, line: index + 1, column: column)
            let word = String(Substring(content.prefix { !isBlank($0) }))
            let rest = Substring(content.dropFirst(word.utf8.count + 1))
            guard DialogueStep.words.contains(word) else {
                throw Setting(.scalar(word, isQuoted: false), at: position)
                    .unknownWord(word, among: DialogueStep.words, at: "step")
            }
            let argument = Setting(.scalar(String(rest), isQuoted: true), at: position)
            steps.append(try DialogueStep.step(word, argument, at: word))
            guard steps.count <= DialogueStep.stepsMax else {
                throw argument.expected("at most \(DialogueStep.stepsMax) steps", at: word)
            }
            last = argument
        }
        if let last, steps.last?.isRejection == true {
            throw last.expected("a rejection before what is expected", at: "step \(steps.count)")
        }
        return steps
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
