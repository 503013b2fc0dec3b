// How do signals reach the loop? Blocked everywhere, read from a descriptor like anything else.

import CLinux
import Glibc

/// Delivers chosen signals on the loop's thread.
public final class Signals: EventSink {
    private let loop: EventLoop
    private var handle = Handle.none
    private let onSignal: (Int32) -> Void

    /// Blocks `signals` in the calling thread and in every thread it starts later. Call it first
    /// thing in `main`, or a thread that did not block them gets them in the old way.
    public static func block(_ signals: [Int32]) {
        var set = mask(signals)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    public init(
        on loop: EventLoop,
        _ signals: [Int32],
        onSignal: @escaping (Int32) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.onSignal = onSignal
        super.init()
        var set = Self.mask(signals)
        let raw = signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        if raw < 0 { throw SystemError("signalfd") }
        handle = try loop.register(Descriptor(owning: raw), sink: self)
    }

    deinit { assert(handle.isNone, "signals must be closed") }

    public func close() {
        loop.close(handle)
        handle = .none
    }

    public override func ready(_ readiness: Readiness, tag: Int) {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while !handle.isNone, read(handle.descriptor, &info, size) == size {
            onSignal(Int32(info.ssi_signo))
        }
    }

    private static func mask(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}
