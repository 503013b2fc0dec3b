// What do people read of failed requests? A line for the first of each sort, at once, and then how many
// there were, at most every ten seconds: ten thousand failures a second are a few lines. Pure.

import EventLoop
import Glibc
import HTTP1
import Spans
import Vocabulary

/// Sorts of failures by name, with what was said of them and when.
struct FailureLog {
    struct Sort: Hashable, Sendable {
        var upstream: String?
        var peer: String?
        var cause: FailureCause
        var answer: FailureAnswer
    }

    private struct Row {
        var total: UInt64 = 0
        /// Not said yet.
        var untold: UInt64 = 0
        var toldAt: Instant?
        var code: Int32 = 0
        /// With `overBudget` what failed.
        var first = FailureCause.none
        var error: HTTPError?
        /// Of one of those that are told together, if one was traced.
        var trace: TraceID?
        /// Of a source, for which hosts: some of them.
        var hosts: [String] = []
    }

    private var rows: [Sort: Row] = [:]
    private var unlisted: UInt64 = 0

    /// Between two lines about one sort.
    static let pause = Nanoseconds.seconds(10)
    /// At once; the rest waits for the next turn.
    static let linesMax = 100
    /// Failures of further sorts are counted together.
    static let sortsMax = 20_000

    /// So many are named in one line.
    static let hostsMax = 3

    mutating func add(
        _ sort: Sort,
        _ count: UInt64,
        code: Int32 = 0,
        first: FailureCause = .none,
        error: HTTPError? = nil,
        host: String? = nil,
        trace: TraceID? = nil
    ) {
        if rows[sort] == nil, rows.count >= Self.sortsMax {
            unlisted += count
            return
        }
        var row = rows[sort, default: Row()]
        // The detail is that of the first failure that is told together with others.
        if row.untold == 0 {
            row.code = code
            row.first = first
            row.error = error
            row.hosts = []
            row.trace = nil
        }
        row.trace = row.trace ?? trace
        if let host, row.hosts.count <= Self.hostsMax, !row.hosts.contains(host) {
            row.hosts.append(host)
        }
        row.total += count
        row.untold += count
        rows[sort] = row
    }

    /// Failures that no row has.
    mutating func add(unlisted count: UInt64) { unlisted += count }

    /// What is defined no more is counted no more.
    mutating func keep(where isKnown: (Sort) -> Bool) {
        rows = rows.filter { isKnown($0.key) || $0.value.untold > 0 }
    }

    /// How often each sort was since the start, in a fixed order.
    var totals: [(sort: Sort, count: UInt64)] {
        rows.map { ($0.key, $0.value.total) }.sorted { $0.0.order < $1.0.order }
    }

    // MARK: Telling

    /// When there is something to say, if there is.
    func next(after now: Instant) -> Instant? {
        var next: Instant?
        for row in rows.values where row.untold > 0 {
            let due = row.toldAt.map { max($0 + Self.pause, now) } ?? now
            next = next.map { min($0, due) } ?? due
        }
        return next
    }

    /// What is to be said now. At the end of everything `isLast`: then nothing waits.
    mutating func lines(at now: Instant, isLast: Bool = false) -> [Journal.Line] {
        let due = rows.filter { _, row in
            row.untold > 0 && (isLast || row.toldAt.map { $0 + Self.pause <= now } ?? true)
        }
        var lines: [Journal.Line] = []
        for (sort, row) in due.sorted(by: { $0.key.order < $1.key.order }).prefix(Self.linesMax) {
            lines.append(Self.line(sort, row, at: now))
            rows[sort]?.untold = 0
            rows[sort]?.toldAt = now
        }
        return lines
    }

    private static func line(_ sort: Sort, _ row: Row, at now: Instant) -> Journal.Line {
        var text = sort.sentence(
            code: row.code,
            first: row.first,
            error: row.error,
            hosts: row.hosts
        )
        if let toldAt = row.toldAt {
            let seconds = max((now - toldAt).milliseconds / 1_000, 1)
            text += " (\(row.untold) more in \(seconds) s)"
        } else if row.untold > 1 {
            text += " (\(row.untold) times)"
        }
        var fields: [Journal.Field] = [.event("proxy-failure")]
        if let upstream = sort.upstream { fields.append(.upstream(upstream)) }
        if let peer = sort.peer { fields.append(.peer(peer)) }
        fields.append(.init("cause", sort.cause.word))
        fields.append(.init("answer", sort.answer.word))
        if case .status(let status) = sort.answer { fields.append(.code(Int(status))) }
        if let error = row.error { fields.append(.error("\(error)")) }
        if let trace = row.trace {
            fields.append(.init("trace", "\(trace)", isForPeople: true))
        }
        fields.append(.count(Int(clamping: row.untold)))
        return Journal.Line(sort.level, text, fields)
    }
}

extension FailureLog.Sort {
    fileprivate var order: String {
        "\(upstream ?? "")\0\(peer ?? "")\0\(cause.word)\0\(answer.word)"
    }

    fileprivate var level: Journal.Level {
        switch cause {
        case .noPeer, .noUpstream: .error
        case .unresolved where peer == nil: .error
        case .badRequest, .slowHead, .slowBody, .slowReader, .noRoute, .connectMethod: .info
        default: answer == .retried ? .notice : .warning
        }
    }

    /// `web/a refused the connection: answered 502`.
    fileprivate func sentence(
        code: Int32,
        first: FailureCause,
        error: HTTPError?,
        hosts: [String]
    ) -> String {
        let who =
            if let upstream, let peer { "\(upstream)/\(peer) " } else if let upstream {
                "\(upstream): "
            } else { "proxy: " }
        let named = hosts.prefix(FailureLog.hostsMax).joined(separator: ", ")
        let whom =
            hosts.isEmpty
            ? "" : " for \(named)\(hosts.count > FailureLog.hostsMax ? " and others" : "")"
        return who + what(cause, first, code, error) + whom + ": " + outcome
    }

    private var outcome: String {
        switch answer {
        case .retried: "tried again, the client saw nothing of it"
        case .cut: "the client's connection was cut"
        case .status(let status): "answered \(status)"
        }
    }

    private static let remedy =
        "raise proxy.limits.client-connections, or where descriptors are few the limit of open files "
        + "(LimitNOFILE, ulimit -n)"

    private func what(
        _ cause: FailureCause,
        _ first: FailureCause,
        _ code: Int32,
        _ error: HTTPError?
    ) -> String {
        let detail = error.map { ": \($0)" } ?? ""
        let reason = code == 0 ? "" : " (\(String(cString: strerror(code))))"
        return switch cause {
        case .none: "failed"
        case .refused: "refused the connection"
        case .unreachable: "could not be reached" + reason
        case .connectTimeout: "did not take the connection in time (timeouts.connect)"
        case .unresolved where peer == nil:
            "no peer has an address: their names have not been resolved"
        case .unresolved: "has no address: its name has not been resolved"
        case .noDescriptor: "was not asked: muster has no descriptor left" + reason
        case .noRoom: "was not asked: the worker's table of connections is full"
        case .closed: "closed the connection before it answered"
        case .reset: "reset the connection before it answered"
        case .timeout: "did not answer in time (timeouts.response)"
        case .malformed: "sent a malformed head" + detail
        case .headTooLarge: "sent a head that is too large" + detail
        case .headCut: "closed the connection in the middle of a head"
        case .strayUpgrade: "switched to a protocol that its client had not asked for"
        case .wentDown: "went down with the request under way"
        case .lost: "was lost with the request under way, for nothing came of it any more"
        case .overBudget:
            // Never of itself: what failed has a word of its own.
            (first == .overBudget ? "failed" : what(first, .none, code, error))
                + ", and as many requests as may be (retry-budget) were being tried again"
        case .status: "answered \(code), which retry-on names"
        case .badBody: "sent a malformed body" + detail
        case .bodyCut: "closed the connection in the middle of a body"
        case .bodyReset: "reset the connection in the middle of a body"
        case .stalled: "stopped in the middle of a body (timeouts.body-idle)"
        case .noPeer: "no peer is available"
        case .full:
            "every peer that is available has all the requests it may have (max-connections), and "
                + (code > 0
                    ? "\(code) wait in line, which are as many as may (queue.size)"
                    : "nothing may wait for one (queue)")
        case .waited:
            "every peer that is available has all the requests it may have (max-connections), and none "
                + "was free in time (queue.timeout)"
        case .noUpstream: "the upstream of a route is not there (muster route list names it)"
        case .badRequest: "a client sent a malformed request" + detail
        case .slowHead: "a client's request head did not arrive in time (timeouts.request-head)"
        case .slowBody: "a client's request body did not arrive in time (timeouts.body-idle)"
        case .slowReader: "a client does not read the answers that it has asked for"
        case .noRoute: "a client asked for a host and path without a route"
        case .routeUnknown:
            "a source of routes did not say in time where a host's requests go"
        case .loop:
            "a request came that has passed through muster \(Worker.hopsMax) times: some peer sends what it "
                + "gets back to a listener that routes to it"
        case .connectMethod: "a client asked for CONNECT"
        case .tooManyConnections:
            "all \(code) clients that a worker may have are being served: " + Self.remedy
        case .displaced:
            "all \(code) clients that a worker may have are there, and for a newcomer the one that "
                + "was idle longest, or else was sending one head for longest, went: " + Self.remedy
        case .displacedForDescriptor:
            "no descriptor is left" + reason
                + ", and for a newcomer the client that was idle longest, or else was sending one head "
                + "for longest, went: raise the limit of open files (LimitNOFILE, ulimit -n)"
        case .spareClosed:
            "no descriptor is left" + reason + ", and for a newcomer an idle connection to a peer "
                + "went: raise the limit of open files (LimitNOFILE, ulimit -n)"
        case .acceptPaused: "no descriptor left to accept clients with" + reason + ", pausing"
        }
    }
}
