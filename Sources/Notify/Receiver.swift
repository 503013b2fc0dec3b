// Who is told, and by which way? One entry of `notify` in the configuration, as values.

public import Checks
public import Vocabulary

/// One receiver of notices.
public struct Receiver: Sendable {
    /// How a message goes out.
    public enum Way: Sendable {
        case web(WebWay)
        case command(CommandWay)
        case mail(MailWay)
    }

    public var name: String
    public var way: Way
    public var rules: HeraldRules
    /// What one attempt may take.
    public var timeout = Nanoseconds.seconds(10)
    /// Of all that is written of its way, secrets too: two that differ are told differently.
    public var wayDigest: UInt64 = 0

    public init(name: String, way: Way, rules: HeraldRules) {
        self.name = name
        self.way = way
        self.rules = rules
    }

    /// The word in the configuration that it is of.
    public var kind: String {
        switch way {
        case .command: return "command"
        case .mail: return "email"
        case .web(let web):
            switch web.body {
            case .muster, .template: return "webhook"
            case .slack: return "slack"
            case .teams: return "teams"
            case .pagerduty: return "pagerduty"
            case .alertmanager: return "alertmanager"
            }
        }
    }

    /// More receivers than this are a mistake.
    public static let receiversMax = 32
}

/// Posts to a URL.
public struct WebWay: Sendable {
    public var place: WebPlace
    public var body: NoticeBody

    public init(place: WebPlace, body: NoticeBody) {
        self.place = place
        self.body = body
    }
}

/// Runs a program with the message on its standard input.
public struct CommandWay: Sendable {
    public var words: [String]
    public var environment: [String]

    public init(words: [String], environment: [String]) {
        self.words = words
        self.environment = environment
    }
}

/// Speaks to a mail server.
public struct MailWay: Sendable {
    public enum Security: String, Sendable, CaseIterable { case starttls, tls, none }

    public var server: Address
    public var security: Security
    public var tls: TLSSettings?
    public var user: String?
    public var password: String?
    public var from: String
    public var to: [String]

    public init(
        server: Address,
        security: Security,
        tls: TLSSettings?,
        user: String?,
        password: String?,
        from: String,
        to: [String]
    ) {
        self.server = server
        self.security = security
        self.tls = tls
        self.user = user
        self.password = password
        self.from = from
        self.to = to
    }
}
