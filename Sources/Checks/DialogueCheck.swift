// Does the server keep to a dialogue? The steps come from a file of their own, one a line:
//
//     # what a mail server says
//     expect-pattern ^220
//     send EHLO probe\r\n
//     expect 250 HELP

public import Health
public import Vocabulary

/// Passes when the server plays its part in a dialogue.
public struct DialogueCheck: Check {
    public static let kind = "dialogue"
    public static let summary = "send and expect, step by step, as a file or a list says"

    private let conversation: TCPCheck
    public let files: [String]

    public init(options: inout Options) throws(SettingError) {
        var steps: [DialogueStep] = []
        let file = options.take("file")
        if let file {
            files = [try file.string(at: "\(options.path).file")]
            steps = try DialogueFile.read(file, at: "\(options.path).file")
        } else {
            files = []
        }
        let inline = try DialogueStep.take(from: &options)
        if let file, !inline.isEmpty {
            throw file.expected("either a file or steps, not both", at: "\(options.path).file")
        }
        conversation = try TCPCheck(options: &options, steps: steps + inline)
        if steps.isEmpty, inline.isEmpty { throw options.missing("file' or 'steps") }
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        await conversation.probe(target, in: context)
    }
}
