// How does the store come to a Redis, and stay with one? It connects, reads everything and follows what changes, and
// begins again whenever that ends. A server that is no master any more is left for the one that is.

import EventLoop
import Redis
import Vocabulary

extension RedisStore {
    /// What is worth knowing at the next attempt.
    struct Reached {
        /// Of the sentinels the one that answered: one that hangs costs its time at each attempt.
        var sentinel: Address?
        /// Of several servers by one name the one that took writes when that was tried.
        var master: Address?
        var soughtAt: Instant?
        /// Where it was last.
        var place: Address?
        /// What people were told of files for TLS that cannot be used.
        var staleTold: String?
    }

    /// Connects, follows, and begins again whenever that ends, until the store stops.
    func run() async {
        var backoff = Self.backoffMin
        while !isStopping {
            do throws(RedisError) {
                try await connect()
                backoff = Self.backoffMin
                try await follow()
            } catch {
                lost(error)
            }
            if isStopping { break }
            // Half of it by chance: a hundred agents must not come back in step.
            let half = backoff.count / 2
            await sleep(Nanoseconds(half + Int64.random(in: 0...half, using: &loop.dice)))
            backoff = min(backoff * 2, Self.backoffMax)
        }
        closeConnections()
        isRunning = false
        for waiter in onEnd { waiter.resume() }
        onEnd = []
    }

    private func connect() async throws(RedisError) {
        var asked = url
        asked.sentinels?.prefer(reached.sentinel)
        let writer = try await open(asked)
        self.writer = writer
        reached.sentinel = writer.sentinel
        // A name may lead to several servers: what is written to one of them is read there.
        let reader = try await open(writer.served, at: writer.place)
        self.reader = reader
        tell(ofPlace: writer.place)
        tell(ofStale: writer.staleFiles)
        try await load(on: writer)
        try await loadFleet(on: writer)
        fleet?.connected()
        for side in sides { side.forgetWhatWasRead() }
        // All of it is read now: what came meanwhile need not be heard of besides.
        streamID = ""
        areMarksDue = true
        looks = 0
        await askForEviction(reader)
        try await reconcile(reader)
        for side in sides where fleet == nil || side.sort.isMerged { side.restate() }
        // All else may be allowed and only this not, and then nothing of what others say is heard.
        try await readHints(on: reader)
        (lastError, lastAdvice) = (nil, nil)
        turn(connected: true)
        // Told everything again before anything else, so that the state is whole within a moment.
        await flush()
    }

    func load(on writer: RedisConnection) async throws(RedisError) {
        lookScript = try await load(RedisScript.look, on: writer)
        for side in sides {
            for script in RedisScript.cases(for: side.sort) {
                let source = script.source(of: side.sort, counting: counted.map(\.sort))
                scripts[script, default: [:]][side.sort.name] = try await load(
                    source,
                    on: writer
                )
            }
        }
    }

    func load(
        _ source: String,
        on writer: RedisConnection
    ) async throws(RedisError) -> String {
        try await ask(writer, [["SCRIPT", "LOAD", source]]).first?.text ?? ""
    }

    /// Files that cannot be used leave those before in use, and the next start fails.
    private func tell(ofStale problem: String?) {
        if let problem, problem != reached.staleTold {
            journal.warning(
                "store \(url): its files for TLS changed and cannot be used, what was in them before is, and the next start "
                    + "would fail: \(problem)",
                [.event("store-tls"), .store("redis"), .error(problem)]
            )
        } else if problem == nil, reached.staleTold != nil {
            journal.notice(
                "store \(url): its files for TLS can be used again, and are",
                [.event("store-tls"), .store("redis")]
            )
        }
        reached.staleTold = problem
    }

    private func open(
        _ url: RedisURL,
        at place: Address? = nil
    ) async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.connect(
            to: url,
            at: place,
            preferring: reached.master,
            tls: tls,
            on: loop,
            timeout: commandTimeout,
            lookup: lookup
        )
        if isStopping {
            connection.close()
            throw .closed
        }
        // When one of the two breaks, the other has nothing left to do.
        connection.onFailure = { [unowned self] error in lost(error) }
        return connection
    }

    func lost(_ error: RedisError) {
        if isStopping || isLate { return }
        // What closed it has been told already.
        if error != .closed { (lastError, lastAdvice) = ("\(url): \(error)", error.advice) }
        closeConnections()
        turn(connected: false)
        if error != .closed { complain(error) }
    }

    /// At once, and then once a minute for as long as it lasts.
    private func complain(_ error: RedisError) {
        let now = loop.instant
        var outage = outage ?? Outage(since: now)
        let silent = throttle.note("away \(error.kind)", at: now)
        let isTold = outage.attempt(mayTell: silent != nil, at: now)
        self.outage = outage
        if !isTold { return }
        isAwayTold = true
        var text = "store \(url) is away: \("\(error)".printable)"
        text += outage.words(unsaid: silent ?? outage.attempts - 1, at: now)
        if let advice = error.advice { text += "; \(advice)" }
        journal.warning(
            text + "; going on from memory, trying again every second",
            [.event("store-away"), .store("redis"), .error("\(error)")]
        )
    }

    private func turn(connected: Bool) {
        if isConnected != connected { since = loop.wall }
        isConnected = connected
        if connected { outage = nil }
        noteWell()
        observer?.storeStatusChanged(status)
        if connected { isAwayTold = false }
    }

    func closeConnections() {
        // First, because whoever waits for an answer hears that none comes, and may call again.
        let open = [writer.take(), reader.take()]
        fleetScripts = [:]
        isFindingRights = false
        for connection in open { connection?.close() }
    }

    /// With new connections everything begins anew.
    func reconnect() {
        closeConnections()
        turn(connected: false)
    }

    // MARK: Masters

    /// The name may lead to several servers, or to another one by now.
    func seekMaster(after refusal: String) {
        let now = loop.instant
        // One of its replicas may be starting again, and be empty and a master for a moment. Sentinels know better.
        if refusal.contains("NOREPLICAS"), url.sentinels == nil {
            guard let since = unwritableSince, now - since >= Self.replicasPatience else { return }
        }
        // A balancer, or a name, may not know yet what a replica says already.
        let isNew = unwritableSince.map { now - $0 < Self.replicasPatience } ?? true
        let pause = isNew ? Self.writeAgainAfter : RedisConnection.seekEvery
        if let sought = reached.soughtAt, now - sought < pause { return }
        guard let held = writer?.place else { return }
        reached.soughtAt = now
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await home.value.findMaster(besides: held) }
    }

    /// Which server answers is in no other line.
    private func tellMove(to place: Address, from before: Address? = nil, because why: String) {
        let words =
            before.map { "\(place) takes writes, in place of \($0)" } ?? "\(place) takes writes"
        journal.notice(
            "store \(url): \(words)\(why); going there",
            [.event("store-moved"), .store("redis")]
        )
        reached.place = place
    }

    /// By the same name, or by what sentinels say.
    private func tell(ofPlace place: Address?) {
        if let place, let before = reached.place, place != before {
            journal.notice(
                "store \(url): \(place) answers now, in place of \(before)",
                [.event("store-moved"), .store("redis")]
            )
        }
        reached.place = place ?? reached.place
    }

    private func findMaster(besides held: Address) async {
        // What is not there is not changed, and a user without this right could write nothing anyhow.
        let write = ["SET", keys.right, "", "XX"]
        var named: (sentinel: Address, master: Address)?
        var found: Address?
        if url.sentinels != nil {
            named = await RedisConnection.sentinel(
                namingWritable: write,
                of: url,
                besides: held,
                tls: tls,
                on: loop,
                timeout: commandTimeout,
                lookup: lookup
            )
            found = named?.master
        } else {
            found = await RedisConnection.writable(
                by: write,
                of: url,
                besides: held,
                tls: tls,
                on: loop,
                timeout: commandTimeout,
                lookup: lookup
            )
        }
        guard let found, !isStopping, writer?.place == held, unwritableSince != nil else { return }
        if let named { reached.sentinel = named.sentinel } else { reached.master = found }
        if found != held {
            tellMove(to: found, from: held, because: ", which takes no writes")
        } else {
            tellMove(
                to: found,
                because: " on a new connection, where it took none on the one before"
            )
        }
        reconnect()
    }
}
