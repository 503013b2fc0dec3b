// When does somebody want to be asked again, who says so in `Retry-After`?

import CCurl
import EventLoop
public import Vocabulary

public enum RetryAfter {
    /// How long from `now` on: seconds, or a date in any of the three forms of HTTP (RFC 9110, section 10.2.3). One that is past
    /// asks for no wait; nil for what is neither.
    public static func wait(_ value: some StringProtocol, now: WallTime) -> Nanoseconds? {
        let bytes = value.utf8.drop { $0 == 0x20 || $0 == 0x09 }
        let text = String(decoding: bytes, as: UTF8.self)
            .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        if text.utf8.allSatisfy({ (48..<58).contains($0) }), let seconds = Int64(text) {
            return .seconds(min(seconds, waitMax))
        }
        // Other numbers are no dates, whatever a lenient reader makes of them.
        guard text.utf8.first.map({ $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A }) == true else {
            return nil
        }
        let date = Int64(curl_getdate(text, nil))
        guard date >= 0 else { return nil }
        let (seconds, isTooMuch) = date.subtractingReportingOverflow(now.milliseconds / 1_000)
        return isTooMuch ? nil : .seconds(min(max(seconds, 0), waitMax))
    }

    /// Longer is as good as never.
    private static let waitMax: Int64 = 86_400 * 365
}
