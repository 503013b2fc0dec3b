// Does the name server know what it should? The peer is the server; a question goes to it directly,
// past every cache of ours.

import DNS
import EventLoop
import Glibc
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
    private let expected: [String]
    private let isTCP: Bool

    /// A datagram may be lost: it is sent so often within the time there is.
    private static let tries: Int64 = 3

    public init(options: inout Options) throws(SettingError) {
        destination = try Destination(options: &options)
        let setting = options.take("name")
        let words = RecordType.allCases.map { $0.word }
        let record = try options.word("record", among: words) ?? RecordType.a.word
        type = RecordType.allCases.first { $0.word == record } ?? .a
        code = try options.word("rcode", among: DNSReply.codes) ?? "NOERROR"
        expected = try Self.expected(&options, type: type)
        isTCP = try options.word("transport", among: ["udp", "tcp"]) == "tcp"
        guard let setting else { throw options.missing("name") }
        name = try setting.string(at: "\(options.path).name")
        guard DNSQuestion(id: 0, name: name, type: type).bytes != nil else {
            throw setting.expected("a domain name", at: "\(options.path).name")
        }
    }

    /// Takes `expect`: texts as answers have them.
    private static func expected(
        _ options: inout Options,
        type: RecordType
    ) throws(SettingError) -> [String] {
        guard let setting = options.take("expect") else { return [] }
        let path = "\(options.path).expect"
        let texts = try setting.strings(at: path)
        var places = [setting.position]
        if case .list(let items) = setting.value { places = items.map(\.position) }
        var expected: [String] = []
        for (text, place) in zip(texts, places) {
            guard let answer = type.answer(text) else {
                throw SettingError(
                    place,
                    "\(path): expected addresses of record \(type.word), such as "
                        + "\(type == .a ? "192.0.2.1" : "2001:db8::1"), saw '\(text)': no answer "
                        + "could be that"
                )
            }
            expected.append(answer)
        }
        return expected
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        let question = DNSQuestion(id: .random(in: 0...(.max)), name: name, type: type)
        let address = destination.address(for: target.address)
        do throws(ProbeFailure) {
            var exchange = DNSExchange(context: context, question: question)
            var reply: DNSReply?
            if !isTCP {
                reply = try await exchange.overUDP(address, tries: Self.tries, phases: &phases)
                if reply?.isTruncated == true { reply = nil }
            }
            // Over TCP because the user wants it, or because the answer did not fit a datagram.
            if reply == nil { reply = try await exchange.overTCP(address, phases: &phases) }
            guard let reply else { throw ProbeFailure(.layer7Response, "expected an answer") }
            var outcome = judge(reply)
            outcome.phases = phases
            return outcome
        } catch {
            return error.outcome(phases)
        }
    }

    private func judge(_ reply: DNSReply) -> Outcome {
        let what = "\(name) \(type.word)"
        guard reply.codeWord == code else {
            return wrong(reply, "\(what): expected \(code), saw \(reply.codeWord)")
        }
        let answers = reply.answers.filter { $0.type == type.rawValue }.map { $0.text.lowercased() }
        let seen = answers.isEmpty ? "no such record" : answers.sorted().joined(separator: ", ")
        if let missing = expected.first(where: { !answers.contains($0) }) {
            return wrong(reply, "\(what): expected \(missing), saw \(seen)")
        }
        if expected.isEmpty, answers.isEmpty, code == "NOERROR" {
            return wrong(reply, "\(what): expected an answer, saw \(seen)")
        }
        return Outcome(.pass, .layer7OK, message: code == "NOERROR" ? seen : code)
    }

    private func wrong(_ reply: DNSReply, _ message: String) -> Outcome {
        Outcome(.fail, .layer7Status, code: Int(reply.code), message: message)
    }
}

extension RecordType {
    /// How an answer of this type says `text`, or nil where none can. An address has many spellings,
    /// and answers are read back in one.
    fileprivate func answer(_ text: String) -> String? {
        let family: Int32
        switch self {
        case .a: family = AF_INET
        case .aaaa: family = AF_INET6
        default: return text.lowercased()
        }
        var address = in6_addr()
        var spelt = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_pton(family, text, &address) == 1,
            inet_ntop(family, &address, &spelt, socklen_t(spelt.count)) != nil
        else { return nil }
        return String(
            decoding: spelt.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}
