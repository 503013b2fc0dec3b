// How busy is the admin endpoint, and whom did it send away?

import Front

extension FrontCounters {
    /// In Prometheus's text format, to stand behind the other metrics.
    var metricsText: String {
        var text = """
            # HELP muster_admin_connections Open connections to the admin address.
            # TYPE muster_admin_connections gauge
            muster_admin_connections \(open)
            # HELP muster_admin_connections_total Connections to the admin address.
            # TYPE muster_admin_connections_total counter
            muster_admin_connections_total \(connections)
            # HELP muster_admin_requests_total Requests that the admin address answered.
            # TYPE muster_admin_requests_total counter
            muster_admin_requests_total \(requests)
            # HELP muster_admin_refused_total Clients of the admin address sent away, by reason.
            # TYPE muster_admin_refused_total counter

            """
        let reasons = [
            ("request", refused), ("full", full), ("displaced", displaced), ("slow", tooSlow),
            ("handshake", failedHandshakes), ("descriptors", withoutDescriptor),
        ]
        for (reason, count) in reasons {
            text += "muster_admin_refused_total{reason=\"\(reason)\"} \(count)\n"
        }
        return text
    }
}
