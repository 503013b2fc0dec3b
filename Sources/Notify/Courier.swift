// How does a batch get to its receiver? On a loop of its own: whatever a receiver does, no probe and no
// request waits for it. One attempt, under one deadline; what is tried again, and when, decides `Herald`.

import Checks
import DNS
import EventLoop
import Vocabulary

/// Makes attempts. Lives on any thread, works on its loop.
public final class Courier: Sendable {
    private let loop: EventLoop
    private let resolver: LoopBound<Resolver>
    private let hello: String

    /// What is read of a mail server's answers.
    private static let repliesBytesMax = 65_536

    private init(_ loop: EventLoop, _ resolver: LoopBound<Resolver>, hello: String) {
        self.loop = loop
        self.resolver = resolver
        self.hello = hello
    }

    /// With a thread of its own. `agent` is how it calls itself to mail servers.
    public static func start(agent: String) async throws -> Courier {
        let loop = try EventLoop.spawn(name: "notify")
        let resolver = try await LoopBound((), on: loop).call { _ in
            Result { LoopBound(try Resolver(on: loop), on: loop) }
        }.get()
        return Courier(loop, resolver, hello: agent)
    }

    /// Nothing is under way, and every program that was killed has been waited for.
    func isIdle() async -> Bool {
        let loop = loop
        return await resolver.call { _ in loop.watchedCount == 0 }
    }

    public func stop() async {
        await resolver.call { $0.close() }
        loop.stop()
    }

    public func deliver(_ batch: Batch, to receiver: Receiver) async -> OutgoingEnd {
        let (loop, resolver, hello) = (loop, resolver, hello)
        return await Task(executorPreference: loop) {
            let now = loop.instant
            let context = ProbeContext(
                loop: loop,
                resolver: resolver,
                started: now,
                deadline: now + receiver.timeout
            )
            switch receiver.way {
            case .web(let way):
                let text = way.body.text(of: batch)
                return await way.place.post(
                    Array(text.utf8),
                    type: way.body.contentType,
                    in: context
                )
            case .command(let way):
                return await OutgoingCommand.run(
                    way.words,
                    environment: way.environment + Self.variables(for: batch),
                    input: Array((batch.json.text + "\n").utf8),
                    in: context
                )
            case .mail(let way):
                let mail = Mail(
                    from: way.from,
                    to: way.to,
                    batch: batch,
                    now: loop.wall,
                    nonce: loop.dice.next()
                )
                return await Self.send(mail, way, hello: hello, in: context)
            }
        }.value
    }

    /// What a program is told besides: of the first notice, for those that read no JSON.
    private static func variables(for batch: Batch) -> [String] {
        let notice = batch.notices.first
        let values: [(String, String)] = [
            ("RECEIVER", batch.receiver), ("SUMMARY", batch.summary),
            ("COUNT", "\(batch.notices.count)"), ("KIND", notice?.kind.rawValue ?? ""),
            ("UPSTREAM", notice?.peer.upstream ?? ""), ("PEER", notice?.peer.peer ?? ""),
            ("FROM", notice?.from.rawValue ?? ""), ("TO", notice?.to.rawValue ?? ""),
            ("REASON", notice?.reason.printable ?? ""),
        ]
        return values.map { "MUSTER_\($0)=\($1.filter { $0 != "\0" })" }
    }

    // MARK: Mail

    private static func send(
        _ mail: Mail,
        _ way: MailWay,
        hello: String,
        in context: ProbeContext
    ) async -> OutgoingEnd {
        do throws(OutgoingLine.Failure) {
            let line = try await OutgoingLine.open(way.server, in: context)
            defer { line.close() }
            return try await converse(mail, way, hello: hello, over: line)
        } catch {
            return .failed(error.text)
        }
    }

    private static func converse(
        _ mail: Mail,
        _ way: MailWay,
        hello: String,
        over line: OutgoingLine
    ) async throws(OutgoingLine.Failure) -> OutgoingEnd {
        if way.security == .tls, let tls = way.tls { try await line.secure(tls) }
        var login: (user: String, password: String)?
        if let user = way.user, let password = way.password { login = (user, password) }
        var talk = MailTalk(
            hello: hello,
            login: login,
            from: way.from,
            to: way.to,
            content: mail.text,
            startsTLS: way.security == .starttls
        )
        var replies = MailReplies()
        var heard = 0
        while true {
            let reply: (code: Int, lines: [String])?
            do throws(MailReplies.Problem) { reply = try replies.next() } catch {
                return .failed("mail: expected replies of three digits, saw something else")
            }
            guard let reply else {
                let bytes = try await line.read()
                heard += bytes.count
                if bytes.isEmpty { return .failed("mail: expected a reply, saw the end") }
                if heard > repliesBytesMax { return .failed("mail: expected less to be said") }
                replies.feed(bytes)
                continue
            }
            var step = talk.heard(reply.code, reply.lines)
            if step == .secure, let tls = way.tls {
                replies.forget()
                try await line.secure(tls)
                step = talk.secured()
            }
            switch step {
            case .say(let text): try await line.write(text)
            case .done:
                // It is theirs now, whether or not they answer the goodbye.
                try? await line.write("QUIT\r\n")
                _ = try? await line.read()
                return .arrived
            case .failed(let text, let isRefusal): return isRefusal ? .refused(text) : .failed(text)
            case .secure: return .refused("mail: no TLS is set up for \(way.server)")
            }
        }
    }
}
