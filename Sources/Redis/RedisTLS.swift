// By what is a Redis believed that is reached over TLS, and by what does it believe us?

public import TLS

/// How `rediss://` is spoken, for any number of connections.
public struct RedisTLS: Sendable {
    private let followed: FollowedContext
    private let configuration: TLSConfiguration
    /// Of the certificate, in place of the host that was asked for.
    private let serverName: String?

    /// Throws what is wrong with the files.
    public init(
        _ configuration: TLSConfiguration = TLSConfiguration(),
        serverName: String? = nil
    ) throws(TLSError) {
        followed = try FollowedContext(client: configuration)
        self.configuration = configuration
        self.serverName = serverName
        if let serverName, let problem = TLSEngine.problem(inServerName: serverName) {
            throw .failed("server-name: \(problem)")
        }
    }

    /// With which we prove ourselves, and the file that it is in.
    public var certificate: (shown: Certificate, file: String)? {
        guard let shown = followed.current().context.certificate else { return nil }
        return (shown, configuration.certificateFile ?? "")
    }

    /// Without any setting: the authorities of the system, and no certificate of our own.
    static let standard: Result<RedisTLS, TLSError> = Result { () throws(TLSError) in try RedisTLS()
    }

    /// For one connection to a server that is asked for as `host`; and what is wrong with the files where they are
    /// newer than what it goes by.
    func engine(for host: String) throws(TLSError) -> (engine: TLSEngine, problem: TLSError?) {
        let (context, problem) = followed.current()
        let name = TLSEngine.serverName(for: serverName ?? host)
        return (try TLSEngine(context: context, serverName: name), problem)
    }
}

extension RedisTLS: Hashable {
    /// By what was set, not by what is in the files.
    public static func == (left: RedisTLS, right: RedisTLS) -> Bool {
        left.configuration == right.configuration && left.serverName == right.serverName
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(configuration)
        hasher.combine(serverName)
    }
}
