// Who writes next? Of those who want to write one thing at one moment each has a turn, in the order in which they
// came: they need not overtake one another again and again until one of them has lost too often.

import EventLoop

/// A line for each name. Confined to its loop's thread.
final class Turns {
    /// More in one line are turned away: it moves slower than they come.
    static let waitingMax = 256

    /// Somebody has the turn for each name that is here; these wait.
    private var lines: [String: [CheckedContinuation<Void, Never>]] = [:]

    func waitingCount(for name: String) -> Int { lines[name]?.count ?? 0 }

    /// Returns with the turn, which has to be given on; false where too many wait.
    func take(_ name: String) async -> Bool {
        guard let line = lines[name] else {
            lines[name] = []
            return true
        }
        if line.count >= Self.waitingMax { return false }
        // Asked where the wait begins: on the way there the line may have come to its end.
        await withCheckedContinuation { waiter in
            if lines[name] != nil {
                lines[name]?.append(waiter)
            } else {
                lines[name] = []
                waiter.resume()
            }
        }
        return true
    }

    func giveOn(_ name: String) {
        if lines[name]?.isEmpty == false {
            lines[name]?.removeFirst().resume()
        } else {
            lines[name] = nil
        }
    }
}
