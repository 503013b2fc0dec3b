// Is the certificate of the admin address good, and for how long? Asked of the files before a start and at
// each reload, and of what is served for as long as muster runs: a process lives longer than a certificate.

import EventLoop
import Settings
import TLS
import Vocabulary

/// Looks at the files now and then, whether somebody connects or not.
struct CertificateWatch: Attendant {
    let certificate: ServerCertificate
    let loop: EventLoop

    private static let every = Duration.seconds(10)

    func run() async {
        // The start has told of it with the other warnings.
        certificate.watch(at: loop.wall, isTold: true)
        while (try? await Task.sleep(for: Self.every)) != nil { certificate.watch(at: loop.wall) }
    }

    /// What there is to say of the certificate that a configuration names, and could be served.
    static func foresight(of configuration: MusterConfiguration, at now: WallTime) -> [String] {
        ofStore(configuration, at: now) + ofAdmin(configuration, at: now)
    }

    private static func ofStore(_ configuration: MusterConfiguration, at now: WallTime) -> [String]
    {
        guard let (shown, file) = configuration.store.tls?.certificate,
            let concern = shown.concern(at: now)
        else { return [] }
        return ["store.tls: the certificate in \(file): \(concern)"]
    }

    private static func ofAdmin(_ configuration: MusterConfiguration, at now: WallTime) -> [String]
    {
        guard let identity = configuration.admin.identity,
            let context = try? TLSContext(
                server: identity.certificateFile,
                keyFile: identity.keyFile
            ),
            let concern = context.certificate?.concern(at: now)
        else { return [] }
        return ["admin.tls: the certificate in \(identity.certificateFile): \(concern)"]
    }
}
