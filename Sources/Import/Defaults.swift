// What does the older proxy do where its file says nothing, and muster does otherwise? Said once, at the head of what is
// written: it is true of no line of the source, and somebody would miss it.

extension HAProxyImport {
    /// HAProxy's for `proxies`, as far as they touch on what is in them.
    static func differences(_ proxies: [HAProxyProxy], isChecked: Bool) -> [String] {
        let serving = proxies.filter { $0.serves && !$0.servers.isEmpty }
        if serving.isEmpty { return [] }
        let listening = proxies.filter { $0.listens }
        var lines: [String] = []
        if isChecked {
            lines.append(
                "Where all servers of a backend are down, HAProxy answers 503. muster asks them all the same, unless "
                    + "the upstream says 'all-down: fail-closed'."
            )
        }
        if serving.contains(where: { !$0.servers.contains(where: \.isTakenOutByRequests) }) {
            lines.append(
                "'eject: off' is HAProxy's way: only checks take a server out. Delete it, and requests that fail do so too, "
                    + "for 10 s: a refusal, a reset, a timeout, or five answers in a row from 500 on."
            )
        }
        if serving.contains(where: { $0.servers.count > 1 && $0.retriesAtSame }) {
            lines.append(
                "Where a server does not accept, HAProxy tries the same one again, unless 'option redispatch' is there; "
                    + "muster asks another."
            )
        }
        lines += unsetTimes(serving, listening)
        if listening.contains(where: \.isHTTP) {
            lines.append(
                "A host and path that nothing leads to is answered 404, and a request that no server takes 502; "
                    + "HAProxy answers 503 to both."
            )
            lines.append(
                "X-Forwarded-For and X-Forwarded-Proto are written for every request; what it says of them is dropped, unless "
                    + "proxy.trusted-proxies names who says it."
            )
        }
        return lines
    }

    private static func unsetTimes(
        _ serving: [HAProxyProxy],
        _ listening: [HAProxyProxy]
    ) -> [String] {
        var unset: [String] = []
        func note(_ theirs: String, _ ours: String, _ proxies: [HAProxyProxy]) {
            if proxies.contains(where: { $0.timeouts[theirs] == nil }) {
                unset.append("'timeout \(theirs)' (\(ours))")
            }
        }
        note("connect", "connect", serving)
        note("server", "response", serving)
        note("client", "body-idle", listening)
        var lines: [String] = []
        if !unset.isEmpty {
            lines.append(
                "HAProxy waits without an end where there is no \(listed(unset)); muster has an end for everything, "
                    + "under proxy.timeouts."
            )
        }
        return lines
    }
}

extension NginxImport {
    /// nginx's for what a draft has in it.
    static func differences(_ draft: Draft) -> [String] {
        let isHTTP = draft.listeners.contains {
            if case .http = $0.mode { true } else { false }
        }
        if draft.listeners.isEmpty { return [] }
        var lines: [String] = []
        if isHTTP {
            lines.append(
                "nginx refuses bodies of more than 1 MB, or than client_max_body_size; muster hands on what comes."
            )
        }
        if isHTTP, draft.upstreams.contains(where: { $0.peers.count > 3 }) {
            lines.append(
                "nginx asks as many servers as there are, unless 'proxy_next_upstream_tries' is there; muster two further "
                    + "ones (retries)."
            )
        }
        lines.append(
            "'eject' is written as nginx does it: max_fails takes a server out for fail_timeout, and statuses only where "
                + "proxy_next_upstream names them. Delete it, and five answers in a row from 500 on do so too, or many more "
                + "failures than the others have."
        )
        if draft.upstreams.contains(where: { !$0.monitors.isEmpty }) {
            lines.append(
                "Where all servers are down, nginx answers 502. muster asks them all the same, unless the upstream says "
                    + "'all-down: fail-closed'."
            )
        }
        return lines
    }
}

private func listed(_ parts: [String]) -> String {
    guard parts.count > 1, let last = parts.last else { return parts.first ?? "" }
    return parts.dropLast().joined(separator: ", ") + " and " + last
}
