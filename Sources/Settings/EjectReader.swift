// When are peers taken out because requests fail? `off`, or how much is too much.

import Health
import Vocabulary

enum EjectReader {
    static let countMax = 1_000_000
    static let timesRange = 1.0...1_000
    static let windowRange = Nanoseconds.milliseconds(100)...Nanoseconds.seconds(60)
    static let silenceRange = Nanoseconds.zero...Nanoseconds.seconds(60)
    static let timeRange = Nanoseconds.milliseconds(1)...Nanoseconds.seconds(86_400)

    static func read(_ section: inout Section) -> EjectDefinition {
        var eject = EjectDefinition()
        guard let setting = section.take("eject") else { return eject }
        let place = section.place.key("eject")
        if let text = try? setting.string(at: place.path) {
            eject.isOff = text == "off"
            if !eject.isOff {
                section.reading.report(setting.expected("settings, or off", at: place.path))
            }
            return eject
        }
        guard var part = Section(setting, at: place, reading: section.reading) else { return eject }
        eject.failures = part.int("failures", in: 0...countMax) ?? eject.failures
        if var rate = part.section("rate") {
            eject.rate.above = rate.read("above", times) ?? eject.rate.above
            eject.rate.minRequests =
                rate.int("min-requests", in: 1...countMax) ?? eject.rate.minRequests
            eject.rate.window = rate.duration(
                "window",
                in: windowRange,
                default: eject.rate.window
            )
            rate.finish()
        }
        eject.silence = part.duration("silence", in: silenceRange, default: eject.silence)
        let position = part.position
        eject.time = part.duration("time", in: timeRange, default: eject.time)
        eject.maxTime = part.duration(
            "max-time",
            in: timeRange,
            default: max(eject.time, eject.maxTime)
        )
        if eject.maxTime < eject.time {
            section.reading.report(
                SettingError(
                    position,
                    "\(place.path).max-time: expected at least time, \(eject.time), saw "
                        + "\(eject.maxTime)"
                )
            )
        }
        eject.maxShare = part.share("max-share", default: eject.maxShare)
        part.finish()
        return eject
    }

    /// `3x`; 0 is never.
    private static func times(_ setting: Setting, _ path: String) throws(SettingError) -> Double {
        let text = try setting.string(at: path)
        let digits = text.hasSuffix("x") ? text.dropLast() : text[...]
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }),
            let times = Double(digits), times == 0 || timesRange.contains(times)
        else {
            throw setting.expected("how many times the others' share, such as 3x, or 0", at: path)
        }
        return times
    }
}
