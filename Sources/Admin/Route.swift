// What can be asked for? One line a route: the method, the path, who may, and who answers. A table of
// such lines is a value that is there before any process runs, so that it can be listed as well as
// followed.

/// What a token may do. Each includes those before it.
enum Scope: Int, Comparable, Sendable {
    /// Takes no token: whether the process lives is no secret.
    case open
    case read
    /// Peers and what is asked of them.
    case operate
    /// The process and its configuration.
    case admin

    /// Those that a token may have.
    static let all: [Scope] = [.read, .operate, .admin]

    static func < (left: Scope, right: Scope) -> Bool { left.rawValue < right.rawValue }
}

/// `HEAD` is part of `GET`, and not declared.
enum Method: String, Sendable {
    case get = "GET"
    case put = "PUT"
    case post = "POST"
    case patch = "PATCH"
    case delete = "DELETE"
}

/// `/v1/upstreams/{upstream}`.
struct PathTemplate: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    enum Segment: Hashable, Sendable {
        case word(String)
        case parameter(String)
    }

    let description: String
    let segments: [Segment]

    init(stringLiteral text: String) {
        description = text
        segments = text.split(separator: "/").map { part in
            part.hasPrefix("{") && part.hasSuffix("}")
                ? .parameter(String(part.dropFirst().dropLast())) : .word(String(part))
        }
    }

    var parameters: [String] {
        segments.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }
}

/// `Context` is what handlers draw on.
struct Route<Context: Sendable>: Sendable {
    typealias Handler = @Sendable (Request, Context) async throws(Problem) -> Response

    let method: Method
    let path: PathTemplate
    let scope: Scope
    let handler: Handler

    init(
        _ method: Method,
        _ path: PathTemplate,
        _ scope: Scope,
        _ handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.scope = scope
        self.handler = handler
    }

    /// With `HEAD` where it knows `GET`: RFC 9110, section 9.1.
    var methods: [String] { method == .get ? ["GET", "HEAD"] : [method.rawValue] }
}
