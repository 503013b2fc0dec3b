// Where do the recorded requests come from? See Corpus/README.md.

import Foundation

struct CorpusRequest: Decodable {
    let id: String
    let src: String
    /// gunicorn's opinion.
    let valid: Bool?
    /// lighttpd's opinion: the status it answers a refused head with, 0 for one it accepts.
    let expect: Int?
    let b64: Data

    var bytes: [UInt8] { Array(b64) }

    /// What the source says of the request, where it says anything.
    var isAcceptedBySource: Bool? { valid ?? expect.map { $0 == 0 } }
}

struct CorpusSeed: Decodable {
    let id: String
    let b64: Data

    var bytes: [UInt8] { Array(b64) }
}

enum Corpus {
    static let requests: [CorpusRequest] = lines(of: "http1-requests.jsonl")
    static let seeds: [CorpusSeed] = lines(of: "http1-fuzz-seeds.jsonl")

    /// `id`, a tab, and what this parser says of the request with that id.
    static let verdicts: [(id: String, verdict: String)] = text(of: "verdicts.tsv")
        .split(separator: "\n")
        .map { line in
            let parts = line.split(separator: "\t", maxSplits: 1)
            return (String(parts[0]), String(parts[1]))
        }

    private static func lines<Line: Decodable>(of name: String) -> [Line] {
        let decoder = JSONDecoder()
        return text(of: name).split(separator: "\n").map { line in
            do {
                return try decoder.decode(Line.self, from: Data(line.utf8))
            } catch {
                fatalError("\(name): \(error) in \(line.prefix(80))")
            }
        }
    }

    private static func text(of name: String) -> String {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Corpus").appendingPathComponent(name)
        do {
            return try String(contentsOf: file, encoding: .utf8)
        } catch {
            fatalError("\(file.path): \(error)")
        }
    }
}
