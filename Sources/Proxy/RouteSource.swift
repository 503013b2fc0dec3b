// Where do routes come from that no configuration has? From a source that can only be asked by host. A
// request whose host no table knows waits until it is; the source never stands in the way of others.

import EventLoop
public import Vocabulary

/// What a source of routes knows of a host.
public enum RouteFinding: Hashable, Sendable {
    /// Its requests go to an upstream, which is defined by now. Asked for again after that time, while what was
    /// known serves.
    case upstream(String, for: Nanoseconds)
    /// It has none: 404, for so long.
    case none(for: Nanoseconds)
    /// Nobody can say now: what was known serves on, and where nothing was the answer is 503.
    case unavailable
}

/// Asked by host, in small letters and without a port. Once at a time for each host.
public typealias RouteLookup = (_ host: String) async -> RouteFinding

extension Proxy {
    /// While a source cannot be asked it is tried again after this time.
    private static let lookUpAgain = Nanoseconds.seconds(1)

    /// A worker wants to know. Others may have asked the same a moment ago.
    func lookUp(_ host: String, for worker: Int, at key: UInt64) {
        if isDrained { return }
        let isFirst = lookingUp[host] == nil
        lookingUp[host, default: [:]][worker] = key
        if !isFirst { return }
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) {
            let finding = await here.value.ask(host)
            await here.value.found(finding, for: host)
        }
    }

    private func ask(_ host: String) async -> RouteFinding { await lookup?(host) ?? .unavailable }

    private func found(_ finding: RouteFinding, for host: String) async {
        var answer: HostBook.Answer?
        var span = Self.lookUpAgain
        switch finding {
        case .upstream(let name, let time):
            if routing.number(ofUpstream: name) == nil { await settle() }
            // Not there after all: as if it could not be asked.
            if let number = routing.number(ofUpstream: name) {
                (answer, span) = (.upstream(number), time)
            }
        case .none(let time): (answer, span) = (HostBook.Answer.none, time)
        case .unavailable: break
        }
        for (number, key) in lookingUp.removeValue(forKey: host) ?? [:] where number < workers.count
        {
            let (workerLoop, worker) = workers[number]
            workerLoop.execute { [answer, span] in worker.value.found(answer, at: key, for: span) }
        }
    }
}
