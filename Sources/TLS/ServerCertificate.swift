// With which certificate does a server answer? The one in its files now: whoever renews it replaces the
// files, and the next connection is served with the new one. Files that do not fit together, as between
// the replacing of one and of the other, leave the one before in use.

import EventLoop
import Synchronization
public import Vocabulary

/// A certificate and its key, read again when their files change.
public final class ServerCertificate: Sendable {
    private struct State {
        var stamps: [FileStamp?]
        var served: TLSContext
        /// Why what is in the files now is not what is served.
        var failure: TLSError?
        /// What was told last of how long it is good; nil before anything was.
        var told: Told?
    }

    /// One line for each of these.
    private struct Told: Hashable {
        var term: CertificateTerm
        var day: Int
        var notAfter: WallTime?
    }

    /// How it is with the certificate.
    public struct Status: Sendable {
        public var file: String
        /// That which is served.
        public var certificate: Certificate?
        /// Why what is in the files now cannot be used.
        public var failure: String?
        /// What somebody has to see to; nil when nothing.
        public var problem: String?

        public init(file: String, certificate: Certificate?, failure: String?, at now: WallTime) {
            self.file = file
            self.certificate = certificate
            self.failure = failure
            let concern = certificate?.concern(at: now)
            let parts = [
                failure.map {
                    "\(file) cannot be used, the certificate before it is served: \($0)"
                },
                concern.map { "the certificate that is served: \($0)" },
            ]
            let said = parts.compactMap(\.self)
            problem = said.isEmpty ? nil : said.joined(separator: "; ")
        }
    }

    /// Whose certificate it is, for the log.
    private let owner: String
    private let certificateFile: String
    private let keyFile: String
    private let journal: Journal
    private let state: Mutex<State>

    /// Throws what is wrong with the files.
    public init(
        of owner: String,
        certificateFile: String,
        keyFile: String,
        journal: Journal = .silent
    ) throws(TLSError) {
        self.owner = owner
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.journal = journal
        let stamps = [FileStamp(of: certificateFile), FileStamp(of: keyFile)]
        let served = try TLSContext(server: certificateFile, keyFile: keyFile)
        state = Mutex(State(stamps: stamps, served: served))
    }

    /// For the next connection.
    public func current() -> TLSContext {
        let stamps = [FileStamp(of: certificateFile), FileStamp(of: keyFile)]
        return state.withLock { state in
            follow(stamps, &state)
            return state.served
        }
    }

    /// With the files as they are now.
    public func status(at now: WallTime) -> Status {
        let stamps = [FileStamp(of: certificateFile), FileStamp(of: keyFile)]
        return state.withLock { state in
            follow(stamps, &state)
            return Status(
                file: certificateFile,
                certificate: state.served.certificate,
                failure: state.failure.map { "\($0)" },
                at: now
            )
        }
    }

    /// Tells when the certificate comes near its end or to it, then once a day until it is renewed. Whoever
    /// started with it has told of it as it is now, which `isTold` says.
    public func watch(at now: WallTime, isTold: Bool = false) {
        let status = status(at: now)
        let told = Told(
            term: status.certificate?.term(at: now) ?? .good,
            day: status.certificate?.daysLeft(at: now) ?? 0,
            notAfter: status.certificate?.notAfter
        )
        let isNews = state.withLock { state in
            defer { state.told = told }
            return state.told != told
        }
        guard isNews, !isTold, let concern = status.certificate?.concern(at: now) else { return }
        journal.warning(
            "\(owner).tls: the certificate in \(certificateFile): \(concern)",
            [.event("certificate"), .file(certificateFile)]
        )
    }

    private func follow(_ stamps: [FileStamp?], _ state: inout State) {
        if stamps == state.stamps { return }
        // Remembered even if it does not load: tried and told of once for each state of the files.
        state.stamps = stamps
        do throws(TLSError) {
            state.served = try TLSContext(server: certificateFile, keyFile: keyFile)
            state.failure = nil
            let end = state.served.certificate.map { ", good until \($0.notAfter)" } ?? ""
            journal.notice(
                "\(owner): serving the certificate that is now in \(certificateFile)\(end)",
                [.event("certificate"), .file(certificateFile)]
            )
        } catch {
            state.failure = error
            journal.warning(
                "\(owner): the certificate in \(certificateFile) and \(keyFile) changed and cannot "
                    + "be used, the one before is: \(error)",
                [.event("certificate"), .file(certificateFile), .error("\(error)")]
            )
        }
    }
}
