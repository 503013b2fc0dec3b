// By whose clock are the times of a verdict that lies in the store? By the store's: an agent whose own clock is minutes
// off would else be believed for minutes too long, or not at all. What is less than a second is left as it is, or each
// renewal would say another time.

package import Fleet
import Health
package import Vocabulary

package enum FleetTimes {
    /// `span` in whole seconds.
    package static func coarse(_ span: Nanoseconds) -> Nanoseconds {
        let second = Nanoseconds.seconds(1)
        if span > -second && span < second { return .zero }
        return .seconds(span.milliseconds / 1_000)
    }
}

extension FleetCall {
    /// The same with the times of its verdicts by a clock that shows `span` more.
    package func shifted(by span: Nanoseconds) -> FleetCall {
        guard span != .zero, case .publish(var publications) = self else { return self }
        for index in publications.indices { publications[index].verdict?.shift(by: span) }
        return .publish(publications)
    }
}

extension FleetReply {
    package func shifted(by span: Nanoseconds) -> FleetReply {
        guard span != .zero, case .claimed(let era, let time, let answers) = self else {
            return self
        }
        let shifted = answers.map { answer -> ClaimAnswer in
            guard case .granted(let epoch, let from, let begun, var verdict?) = answer else {
                return answer
            }
            verdict.shift(by: span)
            return .granted(epoch: epoch, from: from, begun: begun, verdict)
        }
        return .claimed(era: era, at: time, shifted)
    }
}
