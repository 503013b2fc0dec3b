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
            if stamps == state.stamps { return state.served }
            // Remembered even if it does not load: tried and told of once for each state of the files.
            state.stamps = stamps
            do throws(TLSError) {
                state.served = try TLSContext(server: certificateFile, keyFile: keyFile)
                journal.notice(
                    "\(owner): serving the certificate that is now in \(certificateFile)",
                    [.event("certificate"), .file(certificateFile)]
                )
            } catch {
                journal.warning(
                    "\(owner): the certificate in \(certificateFile) and \(keyFile) changed and cannot "
                        + "be used, the one before is: \(error)",
                    [.event("certificate"), .file(certificateFile), .error("\(error)")]
                )
            }
            return state.served
        }
    }
}
