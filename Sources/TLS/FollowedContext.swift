// With what does a client prove itself, and whom does it believe, now? Whoever renews a certificate or adds
// an authority replaces the files, and the next connection goes by the new ones.

import EventLoop
import Synchronization

/// A client's context, made again when one of its files changes. Files that cannot be used, as between
/// the replacing of a certificate and of its key, leave the one before in use.
public final class FollowedContext: Sendable {
    private struct State {
        var stamps: [FileStamp?]
        var context: TLSContext
        var problem: TLSError?
    }

    private let configuration: TLSConfiguration
    private let files: [String]
    private let state: Mutex<State>

    /// Throws what is wrong with the files.
    public init(client configuration: TLSConfiguration) throws(TLSError) {
        self.configuration = configuration
        files = [
            configuration.verifies ? configuration.authorityFile : nil,
            configuration.certificateFile, configuration.keyFile,
        ].compactMap(\.self)
        let stamps = files.map(FileStamp.init(of:))
        state = Mutex(State(stamps: stamps, context: try TLSContext(client: configuration)))
    }

    /// For the next connection, and what is wrong with the files where they are newer than that.
    public func current() -> (context: TLSContext, problem: TLSError?) {
        let stamps = files.map(FileStamp.init(of:))
        return state.withLock { state in
            if stamps != state.stamps {
                // Remembered even if it does not load: tried once for each state of the files.
                state.stamps = stamps
                do throws(TLSError) {
                    state.context = try TLSContext(client: configuration)
                    state.problem = nil
                } catch {
                    state.problem = error
                }
            }
            return (state.context, state.problem)
        }
    }
}
