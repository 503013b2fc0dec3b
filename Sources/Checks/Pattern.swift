// Does a reply match a pattern? POSIX extended expressions by the C library: they have a matcher
// whose time grows with the text, where a backtracking one can be stopped dead by a hostile reply.

import Glibc
import Vocabulary

/// A compiled POSIX extended regular expression, matched against bytes.
final class Pattern: @unchecked Sendable {
    /// Compiled once and only read afterwards; the C library locks what it caches inside.
    private var compiled = regex_t()
    let text: String

    /// Longer is no pattern but a program.
    static let bytesMax = 1_024

    /// `REG_STARTEND`, which Glibc's Swift module lacks: match a range of bytes, NULs included.
    private static let startEnd: Int32 = 1 << 2

    struct Problem: Error {
        var reason: String
    }

    init(_ text: String) throws(Problem) {
        self.text = text
        guard text.utf8.count <= Self.bytesMax else {
            throw Problem(reason: "at most \(Self.bytesMax) bytes")
        }
        let expression = try Self.translate(text)
        let code = regcomp(&compiled, expression, REG_EXTENDED | REG_NEWLINE)
        guard code == 0 else {
            var words = [CChar](repeating: 0, count: 128)
            regerror(code, &compiled, &words, words.count)
            let bytes = words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw Problem(reason: String(decoding: bytes, as: UTF8.self))
        }
    }

    deinit { regfree(&compiled) }

    /// Adds `\d` and `\D`, which everybody writes and POSIX lacks, and refuses back-references,
    /// which would make the matcher backtrack.
    private static func translate(_ text: String) throws(Problem) -> String {
        var result = ""
        var isEscaped = false
        for character in text {
            if isEscaped {
                isEscaped = false
                switch character {
                case "d": result += "[0-9]"
                case "D": result += "[^0-9]"
                case "1"..."9": throw Problem(reason: "no back-reference such as \\\(character)")
                default: result += "\\\(character)"
                }
            } else if character == "\\" {
                isEscaped = true
            } else {
                result.append(character)
            }
        }
        return isEscaped ? result + "\\" : result
    }

    /// Where the first match ends, or nil when there is none.
    func firstMatch(in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        guard let base = bytes.assumingMemoryBound(to: CChar.self).baseAddress else {
            var none: CChar = 0
            return match(&none, count: 0)
        }
        return match(base, count: bytes.count)
    }

    private func match(_ base: UnsafePointer<CChar>, count: Int) -> Range<Int>? {
        var range = regmatch_t(rm_so: 0, rm_eo: regoff_t(clamping: count))
        guard regexec(&compiled, base, 1, &range, Self.startEnd) == 0 else { return nil }
        return Int(range.rm_so)..<Int(range.rm_eo)
    }

    func matches(_ bytes: UnsafeRawBufferPointer) -> Bool { firstMatch(in: bytes) != nil }
}

extension Setting {
    /// A pattern, or an error that says what the C library thinks of it.
    func pattern(at path: String) throws(SettingError) -> Pattern {
        let text = try string(at: path)
        do throws(Pattern.Problem) {
            return try Pattern(text)
        } catch {
            throw SettingError(
                position,
                "\(path): expected an extended regular expression, saw '\(text)': \(error.reason)"
            )
        }
    }
}
