// Is a certificate good now, and for how long? Whoever checks it refuses one that is not; whoever serves
// it wants to hear of that before his clients do.

public import Vocabulary

/// Where a moment lies in the life of a certificate.
public enum CertificateTerm: String, Hashable, Sendable {
    /// Not good yet.
    case early
    case good
    /// Good, and not for long.
    case ending
    case ended
}

extension Certificate {
    /// Renewals that work come weeks before this; what is not renewed by then is forgotten.
    public static let noticeDays: Int64 = 14

    public func term(at now: WallTime) -> CertificateTerm {
        if now < notBefore { return .early }
        if now > notAfter { return .ended }
        let notice = Nanoseconds.seconds(Self.noticeDays * 86_400)
        return notAfter - now < notice ? .ending : .good
    }

    /// What there is to say of it; nil while it is good for long.
    public func concern(at now: WallTime) -> String? {
        switch term(at: now) {
        case .good: nil
        case .early:
            "it is not good before \(notBefore) (now it is \(now)): whoever checks it refuses it; see "
                + "whether the clock is right"
        case .ending:
            "it ends at \(notAfter), in \(Self.days(daysLeft(at: now))): renew it"
        case .ended:
            "it ended at \(notAfter), \(Self.days(-daysLeft(at: now) - 1)) ago: whoever checks it refuses "
                + "it; renew it"
        }
    }

    private static func days(_ count: Int) -> String {
        count == 0 ? "less than a day" : "\(count) day\(count == 1 ? "" : "s")"
    }
}
