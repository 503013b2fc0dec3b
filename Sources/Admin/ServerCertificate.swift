// With which certificate does the admin endpoint answer? The one in its files now: whoever renews
// it replaces the files, and the next connection is served with the new one. Files that do not fit
// together, as between the replacing of one and of the other, leave the one before in use.

import Glibc
import HummingbirdTLS
import NIOCore
import NIOSSL
import Synchronization
public import Vocabulary

/// A certificate and its key, read again when their files change.
public final class ServerCertificate: Sendable {
    /// Apart from its text, what tells one state of a file from the next.
    private struct Stamp: Hashable {
        var device: UInt
        var inode: UInt
        var size: Int
        var seconds: Int
        var nanoseconds: Int

        init?(of file: String) {
            var found = stat()
            guard stat(file, &found) == 0 else { return nil }
            device = UInt(found.st_dev)
            inode = UInt(found.st_ino)
            size = Int(found.st_size)
            seconds = found.st_mtim.tv_sec
            nanoseconds = found.st_mtim.tv_nsec
        }
    }

    private struct Pair {
        var chain: [NIOSSLCertificateSource]
        var key: NIOSSLPrivateKeySource

        var configuration: TLSConfiguration {
            .makeServerConfiguration(certificateChain: chain, privateKey: key)
        }
    }

    private struct State {
        var stamps: [Stamp?]
        var served: Pair
    }

    private let certificateFile: String
    private let keyFile: String
    private let journal: Journal
    private let state: Mutex<State>

    /// Throws what is wrong with the files.
    public init(certificateFile: String, keyFile: String, journal: Journal = .silent) throws {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.journal = journal
        let stamps = [Stamp(of: certificateFile), Stamp(of: keyFile)]
        let served = try Self.load(certificateFile, keyFile)
        state = Mutex(State(stamps: stamps, served: served))
    }

    /// For the server, which asks back at every handshake.
    var configuration: TLSConfiguration {
        var configuration = state.withLock { $0.served.configuration }
        // TLS 1.0 and 1.1 are refused: RFC 8996.
        configuration.minimumTLSVersion = .tlsv12
        // As a task, away from the thread of the handshake: a file that cannot be used leaves an
        // error in that thread's queue, and the handshake would take it for its own.
        configuration.sslContextCallback = { [self] _, answer in
            answer.completeWithTask { [self] in
                let served = current()
                var override = NIOSSLContextConfigurationOverride()
                override.certificateChain = served.chain
                override.privateKey = served.key
                return override
            }
        }
        return configuration
    }

    private func current() -> Pair {
        let stamps = [Stamp(of: certificateFile), Stamp(of: keyFile)]
        return state.withLock { state in
            if stamps == state.stamps { return state.served }
            // Remembered even if it does not load: tried and told of once for each state of the files.
            state.stamps = stamps
            do {
                state.served = try Self.load(certificateFile, keyFile)
                journal.notice("admin: serving the certificate that is now in \(certificateFile)")
            } catch {
                journal.warning(
                    "admin: the certificate in \(certificateFile) and \(keyFile) changed and cannot "
                        + "be used, the one before is: \(error)"
                )
            }
            return state.served
        }
    }

    private static func load(_ certificateFile: String, _ keyFile: String) throws -> Pair {
        let chain = try NIOSSLCertificate.fromPEMFile(certificateFile)
        let key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
        let pair = Pair(chain: chain.map { .certificate($0) }, key: .privateKey(key))
        // Finds out whether the key is the certificate's.
        _ = try NIOSSLContext(configuration: pair.configuration)
        return pair
    }
}
