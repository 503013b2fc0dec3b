// Which methods does each path know? Whoever comes with another is told which, not that there is
// nothing.

import Hummingbird

/// Takes every path in, and answers what no path expects.
struct AdminRouter {
    typealias Context = AdminContext
    typealias Answer =
        @Sendable (Request, AdminContext) async throws -> Response

    // A GET is a HEAD too: RFC 9110, section 9.1.
    private let router = Router(context: Context.self, options: .autoGenerateHeadEndpoints)
    private var paths: [(path: RouterPath, methods: [HTTPRequest.Method])] = []

    private static let others: [HTTPRequest.Method] = [
        .get, .put, .post, .patch, .delete, .options,
    ]

    /// A request that writes must show `token`, if there is one; on request one that reads too.
    init(token: String?, protectsReads: Bool = false) {
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: TokenMiddleware(token: token, protectsReads: protectsReads))
    }

    mutating func get(_ path: RouterPath, _ answer: @escaping Answer) { on(path, .get, answer) }
    mutating func post(_ path: RouterPath, _ answer: @escaping Answer) { on(path, .post, answer) }
    mutating func patch(_ path: RouterPath, _ answer: @escaping Answer) { on(path, .patch, answer) }

    private mutating func on(
        _ path: RouterPath,
        _ method: HTTPRequest.Method,
        _ answer: @escaping Answer
    ) {
        router.on(path, method: method, use: answer)
        if let index = paths.firstIndex(where: { $0.path.description == path.description }) {
            paths[index].methods.append(method)
        } else {
            paths.append((path, [method]))
        }
    }

    /// Refuses what is left, and returns the whole.
    consuming func finish() -> Router<Context> {
        for (path, methods) in paths {
            let known = methods.flatMap { $0 == .get ? [$0, .head] : [$0] }
            let allowed = known.map(\.rawValue).joined(separator: ", ")
            for method in Self.others where !methods.contains(method) {
                router.on(path, method: method) { (_, _) -> Response in
                    throw Problem(
                        .methodNotAllowed,
                        "expected \(allowed), saw \(method.rawValue)",
                        headers: [.allow: allowed]
                    )
                }
            }
        }
        return router
    }
}
