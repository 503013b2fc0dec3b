import HTTP1
import Testing

@Suite struct CorpusTests {
    /// Where this parser decides otherwise than the source of a request, and why. An entry that no
    /// longer deviates fails, so the table stays true.
    static let deviations: [(reason: String, ids: [String])] = [
        (
            "an HTTP/1.1 request without Host is refused (RFC 9112 3.2)",
            [
                "gunicorn-valid:004",
                "gunicorn-valid:013",
                "gunicorn-valid:014",
                "gunicorn-valid:018",
                "gunicorn-valid:021",
                "gunicorn-valid:022",
                "gunicorn-valid:023",
                "gunicorn-valid:025_line",
                "gunicorn-valid:031",
                "gunicorn-valid:031compat",
                "gunicorn-valid:100",
                "lighttpd:absolute-uri in request-line (without Host)",
            ]
        ),
        (
            "two Transfer-Encoding lines are refused: some recipients read only one of them",
            [
                "gunicorn-valid:025",
                "gunicorn-valid:029",
            ]
        ),
        (
            "no coding but chunked is understood (RFC 9112 6.1: 501)",
            [
                "gunicorn-valid:rfc9112_smuggle_gzip_chunked_01",
                "gunicorn-valid:rfc9112_smuggle_te_identity_chunked_01",
            ]
        ),
        (
            "a target is visible ASCII (RFC 9112 3.2)",
            [
                "gunicorn-valid:027"
            ]
        ),
        (
            "no space before the colon (RFC 9112 5.1)",
            [
                "gunicorn-valid:028"
            ]
        ),
        (
            "no folded lines (RFC 9112 5.2)",
            [
                "gunicorn-valid:compat_obs_fold",
                "gunicorn-valid:compat_obs_fold_huge",
                "lighttpd:line-folding",
                "lighttpd:#1232 - duplicate headers with line-wrapping",
                "lighttpd:#1232 - duplicate headers with line-wrapping - test 2",
                "lighttpd:#1232 - duplicate headers with line-wrapping - test 3",
            ]
        ),
        (
            "the PROXY protocol is taken off before HTTP is parsed, where a listener expects it",
            [
                "gunicorn-valid:pp_01",
                "gunicorn-valid:pp_02",
                "gunicorn-valid:pp_04",
                "gunicorn-valid:pp_05",
            ]
        ),
        (
            "userinfo is treated as an error (RFC 9110 4.2.4)",
            [
                "gunicorn-valid:rfc9112_target_absolute_userinfo_01"
            ]
        ),
        (
            "incomplete rather than wrong: the connection waits for the rest until its timeout",
            [
                "gunicorn-invalid:001",
                "gunicorn-invalid:rfc9112_chunked_missing_final_crlf_01",
            ]
        ),
        (
            "gunicorn's limit is smaller than ours",
            [
                "gunicorn-invalid:006",
                "gunicorn-invalid:007",
                "gunicorn-invalid:008",
                "gunicorn-invalid:009",
                "gunicorn-invalid:limit_header_default_01",
            ]
        ),
        (
            "a repeated field that neither frames nor routes is the upstream's to judge",
            [
                "gunicorn-invalid:041",
                "lighttpd:Duplicate Content-Type headers",
                "lighttpd:Duplicate If-Modified-Since headers",
                "lighttpd:reject duplicated If-Modified-Since if not matching",
            ]
        ),
        (
            "a host is not required to exist: what matches no route is refused there",
            [
                "lighttpd:leading dash",
                "lighttpd:broken IPv4 address - non-digit",
                "lighttpd:broken IPv4 address - too short",
            ]
        ),
        (
            "an unknown method is forwarded (RFC 9110 9.1)",
            [
                "lighttpd:unknown method"
            ]
        ),
        (
            "a request without length has no body (RFC 9112 6.3)",
            [
                "lighttpd:POST request, no Content-Length"
            ]
        ),
        (
            "any method may have a body of known length (RFC 9110 9.3.1), forwarded as it came",
            [
                "lighttpd:GET with Content-Length",
                "lighttpd:HEAD with Content-Length",
            ]
        ),
    ]

    @Test func `agrees with the source of each request or says why not`() {
        var unlisted: [String] = []
        var listed = Set(Self.deviations.flatMap { $0.ids })
        for request in Corpus.requests {
            guard let isAccepted = request.isAcceptedBySource else { continue }
            let ending = Receiver.transcript(of: request.bytes).ending
            if ending.isRefused != isAccepted { continue }
            if listed.remove(request.id) == nil { unlisted.append("\(request.id): \(ending)") }
        }
        #expect(unlisted.isEmpty, "\(unlisted.joined(separator: "\n"))")
        #expect(listed.isEmpty, "no longer deviate: \(listed.sorted())")
    }

    /// llhttp's requests come without an opinion, and an opinion says nothing of the reason: the
    /// table has what was decided for each, so that a change of any verdict is seen and judged.
    @Test func `every verdict is the one on record`() {
        let recorded = Corpus.verdicts
        #expect(recorded.map(\.id) == Corpus.requests.map(\.id))
        for (request, (id, verdict)) in zip(Corpus.requests, recorded) {
            #expect(Receiver.transcript(of: request.bytes).summary == verdict, "\(id)")
        }
    }

    /// Every single cut of the requests up to 600 bytes, every 37th of the longer ones, and one
    /// byte at a time.
    @Test func `any split of a recorded request gives the same answer`() {
        for request in Corpus.requests {
            let bytes = request.bytes
            let whole = Receiver.transcript(of: bytes)
            let byByte = Receiver.transcript(of: bytes, cuts: 0..<bytes.count)
            if byByte != whole { Issue.record("\(request.id), byte by byte") }
            for cut in stride(from: 0, to: bytes.count, by: bytes.count > 600 ? 37 : 1) {
                let split = Receiver.transcript(of: bytes, cuts: [cut])
                if split != whole { Issue.record("\(request.id), cut at \(cut): \(split.summary)") }
            }
        }
    }

    /// Six cuts a seed, spread over its length; seeds up to 4 kB byte by byte as well.
    @Test func `no fuzz seed crashes or depends on how it is cut`() {
        for seed in Corpus.seeds {
            let bytes = seed.bytes
            let whole = Receiver.transcript(of: bytes)
            if case .refused(_, let status, _, _) = whole.ending {
                #expect([400, 414, 431, 501, 505].contains(status), "\(seed.id)")
            }
            if bytes.count <= 4_096 {
                let byByte = Receiver.transcript(of: bytes, cuts: 0..<bytes.count)
                if byByte != whole { Issue.record("\(seed.id), byte by byte") }
            }
            for part in 1..<7 {
                let cut = bytes.count * part / 7
                let split = Receiver.transcript(of: bytes, cuts: [cut])
                if split != whole { Issue.record("\(seed.id), cut at \(cut): \(split.summary)") }
            }
        }
    }
}
