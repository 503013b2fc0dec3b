// Does the name server know what it should? The peer is the server; a question goes to it directly,
// past every cache of ours.

import DNS
import EventLoop
public import Health
public import Vocabulary

/// Passes when the server answers a question, with the answers that are expected.
public struct DNSCheck: Check {
    public static let kind = "dns"
    public static let summary = "ask a name server a question and judge its answer"

    private let destination: Destination
    private let name: String
    private let type: RecordType
    private let code: String
    private let expected: [ExpectedRecord]
    private let isTCP: Bool
    private let place: (position: Position, path: String)

    /// A datagram may be lost: it is sent so often within the time there is.
    private static let tries: Int64 = 3

    public init(options: inout Options) throws(SettingError) {
        destination = try Destination(options: &options)
        place = (options.position, options.path)
        let setting = options.take("name")
        let words = RecordType.allCases.map { $0.word }
        let record = try options.word("record", among: words) ?? RecordType.a.word
        type = RecordType.allCases.first { $0.word == record } ?? .a
        code = try options.word("rcode", among: DNSReply.codes) ?? "NOERROR"
        expected = try ExpectedRecord.take(from: &options, type: type, code: code)
        isTCP = try options.word("transport", among: ["udp", "tcp"]) == "tcp"
        guard let setting else { throw options.missing("name") }
        name = try Self.name(setting, type: type, code: code, at: "\(options.path).name")
    }

    private static func name(
        _ setting: Setting,
        type: RecordType,
        code: String,
        at path: String
    ) throws(SettingError) -> String {
        let name = try setting.string(at: path)
        guard DNSName.isName(name) else { throw setting.expected("a domain name", at: path) }
        // A server may well be asked whether it knows nothing of it.
        guard code == "NOERROR", let reverse = ReverseName.of(name) else { return name }
        let wanted = type == .ptr ? ", for this address '\(reverse)'" : ""
        throw SettingError(
            setting.position,
            "\(path): expected a domain name\(wanted), saw '\(name)': no answer could come"
        )
    }

    public func problem(probing peer: Address) -> SettingError? {
        if let problem = destination.problem(probing: peer) { return problem }
        guard !isTCP, case .unix = destination.address(for: peer) else { return nil }
        return SettingError(
            place.position,
            "\(place.path): expected peers with host and port, saw '\(peer)': no datagram of DNS goes to "
                + "such a socket; 'transport: tcp' talks to it"
        )
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        let question = DNSQuestion(
            id: .random(in: 0...(.max), using: &context.loop.dice),
            name: name,
            type: type
        )
        let address = destination.address(for: target.address)
        do throws(ProbeFailure) {
            var exchange = DNSExchange(context: context, question: question, wanted: code)
            var reply: DNSReply?
            if !isTCP {
                reply = try await exchange.overUDP(address, tries: Self.tries, phases: &phases)
                if reply?.isTruncated == true { reply = nil }
            }
            // Over TCP because the user wants it, or because the answer did not fit a datagram.
            if reply == nil { reply = try await exchange.overTCP(address, phases: &phases) }
            guard let reply else { throw ProbeFailure(.layer7Response, "expected an answer") }
            var outcome = judge(reply, to: question)
            outcome.phases = phases
            return outcome
        } catch {
            return error.outcome(phases)
        }
    }

    private func judge(_ reply: DNSReply, to question: DNSQuestion) -> Outcome {
        let what = "\(name) \(type.word)"
        guard reply.codeWord == code else {
            return wrong(reply, "\(what): expected \(code), saw \(reply.codeWord)")
        }
        let findings = reply.findings(for: question)
        let seen = Self.description(of: findings)
        if let missing = expected.first(where: { !$0.isAmong(findings.records) }) {
            return wrong(reply, "\(what): expected \(missing.text), saw \(seen)")
        }
        if expected.isEmpty, findings.records.isEmpty, code == "NOERROR" {
            return wrong(reply, "\(what): expected an answer, saw \(seen)")
        }
        return Outcome(.pass, .layer7OK, message: code == "NOERROR" ? seen : code)
    }

    private static func description(of findings: DNSReply.Findings) -> String {
        guard findings.records.isEmpty else {
            return findings.records.map(\.text).sorted().joined(separator: ", ")
        }
        var seen = "no such record"
        if findings.isLoop {
            seen += ", but aliases in a circle: " + findings.aliases.joined(separator: ", ")
        } else if let last = findings.aliases.last {
            seen += " of '\(last)', which it is an alias of"
        }
        if let stranger = findings.strangers.first { seen += ", but one of '\(stranger)'" }
        return seen
    }

    private func wrong(_ reply: DNSReply, _ message: String) -> Outcome {
        Outcome(.fail, .layer7Status, code: Int(reply.code), message: message)
    }
}
