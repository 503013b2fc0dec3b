// What does `show stat` say to tools that were made for HAProxy's socket? A line for the listeners together, one for each
// peer and one for each upstream, in the columns of HAProxy 2.6. What muster does not count is 0 or empty, as HAProxy
// has it where it does not either.

import Health
import Proxy
import Store
import Vocabulary

/// What is told of, at one moment. Peers are in the order of their definitions, which gives them their numbers.
struct RuntimePicture: Sendable {
    var upstreams: [UpstreamView]
    var listeners: [ListenerConfiguration]
    var report: Proxy.Report
    var now: WallTime

    /// As HAProxy numbers its proxies: 1 is its own.
    static let frontendNumber = 2
    static let frontendName = "proxy"
    static let firstBackend = 3

    func number(of upstream: String) -> Int? {
        let names = upstreams.map(\.name)
        let name = Self.name(upstream, of: names, from: Self.firstBackend)
        return names.firstIndex(of: name).map { $0 + Self.firstBackend }
    }

    /// All listeners are one, which is counted as a proxy too.
    func number(ofProxy text: String) -> Int? {
        if let number = number(of: text) { return number }
        let isFrontend = text == Self.frontendName || text == "#\(Self.frontendNumber)"
        return isFrontend && !listeners.isEmpty ? Self.frontendNumber : nil
    }

    /// `#4` is whoever has that number, where `first` is the first one's, unless somebody is called so.
    static func name(
        _ text: String,
        of names: @autoclosure () -> [String],
        from first: Int
    ) -> String {
        guard text.hasPrefix("#"), let number = Int(text.dropFirst()), number >= first else {
            return text
        }
        let names = names()
        if names.contains(text) { return text }
        return names.indices.contains(number - first) ? names[number - first] : text
    }

    func isTCP(_ upstream: String) -> Bool {
        listeners.contains { $0.mode == .tcp(upstream: upstream) }
    }
}

enum RuntimeStat {
    static let columns = [
        "pxname", "svname", "qcur", "qmax", "scur", "smax", "slim", "stot", "bin", "bout", "dreq",
        "dresp",
        "ereq", "econ", "eresp", "wretr", "wredis", "status", "weight", "act", "bck", "chkfail",
        "chkdown",
        "lastchg", "downtime", "qlimit", "pid", "iid", "sid", "throttle", "lbtot", "tracked",
        "type", "rate",
        "rate_lim", "rate_max", "check_status", "check_code", "check_duration", "hrsp_1xx",
        "hrsp_2xx",
        "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other", "hanafail", "req_rate", "req_rate_max",
        "req_tot",
        "cli_abrt", "srv_abrt", "comp_in", "comp_out", "comp_byp", "comp_rsp", "lastsess",
        "last_chk",
        "last_agt", "qtime", "ctime", "rtime", "ttime", "agent_status", "agent_code",
        "agent_duration",
        "check_desc", "agent_desc", "check_rise", "check_fall", "check_health", "agent_rise",
        "agent_fall",
        "agent_health", "addr", "cookie", "mode", "algo", "conn_rate", "conn_rate_max", "conn_tot",
        "intercepted", "dcon", "dses", "wrew", "connect", "reuse", "cache_lookups", "cache_hits",
        "srv_icur",
        "src_ilim", "qtime_max", "ctime_max", "rtime_max", "ttime_max", "eint", "idle_conn_cur",
        "safe_conn_cur", "used_conn_cur", "need_conn_est", "uweight", "agg_server_status",
        "agg_server_check_status", "agg_check_status", "-", "ssl_sess", "ssl_reused_sess",
        "ssl_failed_handshake", "h2_headers_rcvd", "h2_data_rcvd", "h2_settings_rcvd",
        "h2_rst_stream_rcvd",
        "h2_goaway_rcvd", "h2_detected_conn_protocol_errors", "h2_detected_strm_protocol_errors",
        "h2_rst_stream_resp", "h2_goaway_resp", "h2_open_connections", "h2_backend_open_streams",
        "h2_total_connections", "h2_backend_total_streams", "h1_open_connections",
        "h1_open_streams",
        "h1_total_connections", "h1_total_streams", "h1_bytes_in", "h1_bytes_out",
        "h1_spliced_bytes_in",
        "h1_spliced_bytes_out",
    ]
    /// Of those behind the dash, which other modules count.
    private static let extras = columns.drop { $0 != "-" }.dropFirst()
    private static let statuses = [
        "hrsp_other", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx",
    ]

    private static let ofFrontend =
        [
            "scur", "smax", "slim", "stot", "bin", "bout", "dreq", "dresp", "ereq", "sid", "type",
            "rate",
            "rate_lim", "rate_max", "conn_rate", "conn_rate_max", "conn_tot", "intercepted", "dcon",
            "dses",
            "eint",
        ] + extras
    private static let ofFrontendHTTP =
        statuses + [
            "req_rate", "req_rate_max", "req_tot", "comp_in", "comp_out", "comp_byp", "comp_rsp",
            "wrew",
            "cache_lookups", "cache_hits",
        ]
    private static let ofServer = [
        "qcur", "qmax", "scur", "smax", "stot", "bin", "bout", "dresp", "econ", "eresp", "wretr",
        "wredis",
        "act", "bck", "lbtot", "rate", "rate_max", "cli_abrt", "srv_abrt", "qtime", "ctime",
        "rtime", "ttime",
        "wrew", "connect", "reuse", "srv_icur", "qtime_max", "ctime_max", "rtime_max", "ttime_max",
        "eint",
        "idle_conn_cur", "safe_conn_cur", "used_conn_cur", "need_conn_est", "ssl_sess",
        "ssl_reused_sess",
        "ssl_failed_handshake",
    ]
    private static let ofBackend =
        [
            "qcur", "qmax", "scur", "smax", "slim", "stot", "bin", "bout", "dreq", "dresp", "econ",
            "eresp",
            "wretr", "wredis", "act", "bck", "chkdown", "lastchg", "downtime", "sid", "lbtot",
            "rate",
            "rate_max", "cli_abrt", "srv_abrt", "comp_in", "comp_out", "comp_byp", "comp_rsp",
            "qtime",
            "ctime", "rtime", "ttime", "connect", "reuse", "qtime_max", "ctime_max", "rtime_max",
            "ttime_max",
            "eint", "agg_server_status", "agg_server_check_status", "agg_check_status",
        ] + extras
    private static let ofBackendHTTP =
        statuses + ["req_tot", "wrew", "cache_lookups", "cache_hits"]

    /// What is asked for: `show stat [IID TYPE SID]`.
    struct Scope: Equatable, Sendable {
        /// A proxy's number, or nil for all.
        var proxy: Int?
        /// 1 frontends, 2 backends, 4 servers, together.
        var types = 7
        /// A server's number, or nil for all.
        var server: Int?
        var leavesOutMaint = false
        var leavesOutDown = false
    }

    static func csv(_ picture: RuntimePicture, _ scope: Scope = Scope()) -> String {
        var lines = ["# " + columns.joined(separator: ",") + ","]
        let frontend = picture.listeners.isEmpty ? nil : Row.frontend(picture)
        if let frontend, scope.types & 1 != 0, scope.covers(RuntimePicture.frontendNumber) {
            lines.append(frontend.line)
        }
        for (place, upstream) in picture.upstreams.enumerated() {
            let number = place + RuntimePicture.firstBackend
            guard scope.covers(number) else { continue }
            if scope.types & 4 != 0 {
                for (place, peer) in upstream.peers.enumerated() {
                    guard scope.server.map({ $0 == place + 1 }) ?? true else { continue }
                    if scope.leavesOutMaint, peer.view.status == .maint { continue }
                    if scope.leavesOutDown, !peer.view.isAvailable { continue }
                    lines.append(Row.server(peer, place + 1, of: upstream, number, picture).line)
                }
            }
            if scope.types & 2 != 0, scope.server.map({ $0 == 0 }) ?? true {
                lines.append(Row.backend(upstream, number, picture).line)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: Rows

    struct Row {
        private var values: [String: String] = [:]

        subscript(_ column: String) -> String {
            get { values[column] ?? "" }
            set { values[column] = newValue }
        }

        private mutating func count(_ column: String, _ number: some BinaryInteger) {
            values[column] = "\(number)"
        }

        private mutating func zero(_ columns: some Sequence<String>) {
            for column in columns { values[column] = "0" }
        }

        var line: String {
            columns.map { RuntimeStat.field(values[$0] ?? "") }.joined(separator: ",") + ","
        }

        static func frontend(_ picture: RuntimePicture) -> Row {
            var row = Row()
            row.zero(ofFrontend)
            let isHTTP = picture.listeners.contains { listener in
                if case .http = listener.mode { true } else { false }
            }
            if isHTTP { row.zero(ofFrontendHTTP) }
            row["pxname"] = RuntimePicture.frontendName
            row["svname"] = "FRONTEND"
            row["status"] = "OPEN"
            row["pid"] = "1"
            row.count("iid", RuntimePicture.frontendNumber)
            row["mode"] = isHTTP ? "http" : "tcp"
            row["-"] = "-"
            let report = picture.report
            row.count("scur", report.connectionsActive)
            row.count("stot", report.connectionsAccepted)
            row.count("conn_tot", report.connectionsAccepted)
            row.count("dcon", report.connectionsRefused)
            row.count("ereq", report.badRequests)
            if isHTTP {
                row.count("req_tot", report.requests)
                for peer in report.peers.values { row.add(peer.responses) }
            }
            return row
        }

        private mutating func add(_ responses: [UInt64]) {
            for (column, count) in zip(statuses, responses) {
                values[column] = "\((UInt64(values[column] ?? "") ?? 0) + count)"
            }
        }

        static func server(
            _ peer: PeerReport,
            _ place: Int,
            of upstream: UpstreamView,
            _ number: Int,
            _ picture: RuntimePicture
        ) -> Row {
            var row = Row()
            let isTCP = picture.isTCP(upstream.name)
            let health = RuntimeHealth(peer, upstream.monitors)
            row.zero(ofServer)
            if !isTCP { row.zero(statuses + ["req_tot"]) }
            row["pxname"] = upstream.name
            row["svname"] = peer.definition.id
            row["status"] = health.status
            row.count("weight", RuntimeHealth.weight(of: peer))
            row[peer.definition.isBackup ? "bck" : "act"] = "1"
            row.count("lastchg", max(0, (picture.now - peer.view.since).count / 1_000_000_000))
            row["pid"] = "1"
            row.count("iid", number)
            row.count("sid", place)
            row["type"] = "2"
            row["lastsess"] = "-1"
            row.count("uweight", peer.view.weight)
            row["addr"] = "\(peer.definition.address)"
            row["mode"] = isTCP ? "tcp" : "http"
            row["-"] = "-"
            // An agent's `maxconn:0` is no limit.
            if let limit = peer.view.maxConnections, limit < Int32.max { row.count("slim", limit) }
            if peer.view.isRamping, peer.view.weight > 0 {
                row.count("throttle", peer.view.effectiveCentiweight / peer.view.weight)
            }
            let key = PeerKey(upstream: upstream.name, peer: peer.definition.id)
            row.traffic(picture.report.peers[key] ?? Proxy.PeerTotals(), isTCP: isTCP)
            row.check(health)
            return row
        }

        private mutating func traffic(_ totals: Proxy.PeerTotals, isTCP: Bool) {
            count("scur", totals.inFlight)
            count("stot", totals.requests)
            count("lbtot", totals.requests)
            count("econ", totals.connectFailures)
            count("eresp", totals.responseFailures)
            count("wredis", totals.retries)
            count("connect", totals.connects)
            count("reuse", totals.requests - min(totals.requests, totals.connects))
            if !isTCP { count("req_tot", totals.requests) }
            count("srv_icur", totals.idleConnections)
            count("used_conn_cur", totals.inFlight)
            if !isTCP { add(totals.responses) }
        }

        private mutating func check(_ health: RuntimeHealth) {
            if !health.isChecked { return }
            // Only of servers that are checked does HAProxy count the time and the failures.
            zero(["chkfail", "chkdown", "downtime"])
            if health.isDown {
                values["chkdown"] = "1"
                values["downtime"] = values["lastchg"]
            }
            let sides = [("check", "last_chk", health.check), ("agent", "last_agt", health.agent)]
            for case (let name, let last, let verdict?) in sides {
                values["\(name)_status"] = RuntimeHealth.word(of: verdict.reason)
                // Below layer 7 it would be an errno, which is no status.
                let hasCode = ["L7", "PROC"].contains(verdict.reason.layer)
                values["\(name)_code"] = hasCode ? verdict.code.map { "\($0)" } ?? "" : ""
                values["\(name)_duration"] = "\(verdict.latency.count / 1_000_000)"
                values["\(name)_desc"] = RuntimeHealth.description(of: verdict.reason)
                values["\(name)_rise"] = "\(verdict.rise)"
                values["\(name)_fall"] = "\(verdict.fall)"
                values["\(name)_health"] = "\(verdict.health)"
                // Of a check that passes there is nothing more to say.
                values[last] = RuntimeHealth.passes(verdict.reason) ? "" : verdict.message
            }
        }

        static func backend(
            _ upstream: UpstreamView,
            _ number: Int,
            _ picture: RuntimePicture
        ) -> Row {
            var row = Row()
            let isTCP = picture.isTCP(upstream.name)
            row.zero(ofBackend)
            if !isTCP { row.zero(ofBackendHTTP) }
            row["pxname"] = upstream.name
            row["svname"] = "BACKEND"
            let able = upstream.peers.filter(\.view.isAvailable)
            row["status"] = able.isEmpty ? "DOWN" : "UP"
            // Those whose turn it is: backups where nobody else is left.
            let actives = able.filter { !$0.definition.isBackup }
            let weight = (actives.isEmpty ? able : actives).reduce(0) {
                $0 + RuntimeHealth.weight(of: $1)
            }
            row.count("weight", weight)
            row.count("uweight", weight)
            row.count("act", actives.count)
            row.count("bck", able.count - actives.count)
            row["pid"] = "1"
            row.count("iid", number)
            row["type"] = "1"
            row["lastsess"] = "-1"
            row["mode"] = isTCP ? "tcp" : "http"
            row["algo"] = RuntimeHealth.algorithms[upstream.balance] ?? upstream.balance
            row["-"] = "-"
            row.count("lastchg", max(0, (picture.now - Self.since(upstream)).count / 1_000_000_000))
            var sum = Proxy.PeerTotals()
            for peer in upstream.peers {
                let key = PeerKey(upstream: upstream.name, peer: peer.definition.id)
                if let totals = picture.report.peers[key] { sum.add(totals) }
            }
            row.traffic(sum, isTCP: isTCP)
            for column in ["srv_icur", "used_conn_cur"] { row[column] = "" }
            return row
        }

        /// The last change of anybody in it.
        private static func since(_ upstream: UpstreamView) -> WallTime {
            upstream.peers.map(\.view.since).max() ?? WallTime(milliseconds: 0)
        }
    }

    /// In quotes where a reader could take it for more than one.
    static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else {
            return text
        }
        let line = text.printable.replacing("\"", with: "\"\"")
        return "\"\(line)\""
    }
}

extension RuntimeStat.Scope {
    fileprivate func covers(_ number: Int) -> Bool { proxy.map { $0 == number } ?? true }
}
