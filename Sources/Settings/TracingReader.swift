// Where do spans go? `tracing`, with the address of a collector, and how many of all requests are recorded.

import Checks
import Health
import Spans
import Telemetry
import Vocabulary

extension TracingSetting {
    static let serviceBytesMax = 200

    static func read(_ section: Section?) -> TracingSetting? {
        guard var section else { return nil }
        let reading = section.reading
        let before = reading.mistakes.count
        let share = section.share("sample", default: Sampler.usualShare)
        let service = section.read("service") { (setting, path) throws(SettingError) in
            let name = try setting.string(at: path)
            guard !name.isEmpty, name.utf8.count <= serviceBytesMax else {
                throw setting.expected("a name of 1 to \(serviceBytesMax) bytes", at: path)
            }
            return name
        }
        var digest = StableHash()
        let entries = ["otlp", "headers", "tls"].compactMap { key -> Setting.Entry? in
            guard let setting = section.take(key) else { return nil }
            digest.combine(key)
            digest.combine(NotifyReader.digest(of: setting))
            return Setting.Entry(key: key, position: setting.position, value: setting)
        }
        let position = section.position
        let path = section.place.path
        section.finish()
        let place = reading.attempt { () throws(SettingError) in
            var options = Options(entries, at: position, path: path)
            return try WebPlace(options: &options, key: "otlp", suffix: OTLP.path)
        }
        guard let place, reading.mistakes.count == before else { return nil }
        var setting = TracingSetting(place: place)
        setting.sampler = Sampler(share: share)
        setting.service = service ?? setting.service
        setting.digest = digest.value
        return setting
    }
}
