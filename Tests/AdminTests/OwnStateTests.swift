// Does muster say what is wrong with itself? With the file that it should run by, and with the certificate
// that it shows.

import EventLoop
import Store
import Testing
import Vocabulary

@testable import Admin
@testable import Monitor
@testable import Proxy
@testable import TLS

@Suite struct OwnStateTests {
    private static let start = WallTime(milliseconds: 1_000)

    private func metrics(
        configuration: ConfigurationRecord.Status? = nil,
        certificate: ServerCertificate.Status? = nil
    ) -> String {
        MetricsText.make(
            agent: "a1",
            uptime: .seconds(5),
            upstreams: [],
            store: StoreStatus(kind: "embedded", isConnected: true, since: Self.start),
            scheduler: SchedulerMetrics(),
            pairs: [],
            proxy: Proxy.Report(),
            configuration: configuration,
            certificate: certificate
        )
    }

    @Test func `a refused file is told of until a good one came`() {
        let record = ConfigurationRecord(file: "/etc/muster.yaml", loadedAt: Self.start)
        #expect(record.status.json["refused_at"] == .null)
        #expect(metrics(configuration: record.status).contains("\nmuster_reload_failed 0\n"))

        let refused = WallTime(milliseconds: 5_000)
        record.note(.refused(["muster.yaml:2:1: first", "muster.yaml:3:1: second"]), at: refused)
        let told = record.status.json
        #expect(told["refused_at"]?.string == "1970-01-01T00:00:05.000Z")
        #expect(told["loaded_at"]?.string == "1970-01-01T00:00:01.000Z")
        #expect(told["mistakes"] == 2)
        #expect(told["mistake"] == "muster.yaml:2:1: first")
        let text = metrics(configuration: record.status)
        #expect(text.contains("\nmuster_reload_failed 1\n"))
        #expect(text.contains("\nmuster_configuration_loaded_seconds 1\n"))

        let good = WallTime(milliseconds: 9_000)
        record.note(.done(changes: [], later: [], warnings: []), at: good)
        #expect(record.status == .init(file: "/etc/muster.yaml", loadedAt: good))
        #expect(metrics(configuration: record.status).contains("\nmuster_reload_failed 0\n"))
    }

    @Test
    func `a restart is due from the first reload that found so to the one that finds nothing`() {
        let record = ConfigurationRecord(file: "/etc/muster.yaml", loadedAt: Self.start)
        #expect(record.status.json["restart_due_since"] == .null)
        let waiting = ReloadAnswer.done(changes: [], later: ["sources.hipache"], warnings: [])
        record.note(waiting, at: WallTime(milliseconds: 5_000))
        record.note(.refused(["muster.yaml:2:1: first"]), at: WallTime(milliseconds: 6_000))
        record.note(waiting, at: WallTime(milliseconds: 7_000))
        let told = record.status.json
        #expect(told["restart_due_since"]?.string == "1970-01-01T00:00:05.000Z")
        #expect(told["waiting"] == ["sources.hipache"])
        record.note(.done(changes: [], later: [], warnings: []), at: WallTime(milliseconds: 8_000))
        #expect(record.status.json["restart_due_since"] == .null)
        #expect(record.status.json["waiting"] == [])
    }

    private func certificate(from begin: String, to end: String) throws -> Certificate {
        Certificate(
            subject: "/CN=a",
            issuer: "/CN=a",
            names: [],
            notBefore: try #require(WallTime(rfc3339: begin)),
            notAfter: try #require(WallTime(rfc3339: end))
        )
    }

    /// Good from the 1st to the 30th.
    @Test(arguments: [
        (
            "2026-11-30T00:00:00Z", CertificateTerm.early,
            "is not good before 2026-12-01T00:00:00.000Z"
        ),
        ("2026-12-01T00:00:00Z", .good, ""), ("2026-12-16T00:00:00Z", .good, ""),
        ("2026-12-16T00:00:01Z", .ending, "ends at 2026-12-30T00:00:00.000Z, in 13 days"),
        ("2026-12-28T12:00:00Z", .ending, "in 1 day:"),
        ("2026-12-30T00:00:00Z", .ending, "in less than a day"),
        ("2026-12-30T00:00:01Z", .ended, "ended at 2026-12-30T00:00:00.000Z, less than a day ago"),
        ("2027-01-02T06:00:00Z", .ended, "3 days ago"),
    ])
    func `a certificate's term is told before its end`(
        moment: String,
        term: CertificateTerm,
        words: String
    ) throws {
        let now = try #require(WallTime(rfc3339: moment))
        let certificate = try certificate(
            from: "2026-12-01T00:00:00Z",
            to: "2026-12-30T00:00:00Z"
        )
        #expect(certificate.term(at: now) == term)
        let concern = certificate.concern(at: now)
        if !words.isEmpty {
            #expect(concern?.contains(words) == true, "\(concern ?? "nothing")")
        } else {
            #expect(concern == nil)
        }
    }

    @Test func `its end and a failed renewal are numbers`() throws {
        let served = try certificate(from: "2026-12-01T00:00:00Z", to: "2026-12-30T00:00:00Z")
        let now = try #require(WallTime(rfc3339: "2026-12-02T00:00:00Z"))
        func status(_ failure: String?) -> ServerCertificate.Status {
            .init(file: "/etc/a.pem", certificate: served, failure: failure, at: now)
        }
        let well = metrics(certificate: status(nil))
        #expect(well.contains("\nmuster_admin_certificate_not_after_seconds 1798588800\n"))
        #expect(well.contains("\nmuster_admin_certificate_failed 0\n"))
        #expect(status(nil).problem == nil)
        let failed = status("no key")
        #expect(metrics(certificate: failed).contains("\nmuster_admin_certificate_failed 1\n"))
        #expect(
            failed.problem
                == "/etc/a.pem cannot be used, the certificate before it is served: no key"
        )
        #expect(!metrics().contains("muster_admin_certificate"))
    }
}
