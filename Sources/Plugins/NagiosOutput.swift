// What did a monitoring plugin print? One line for people, then perhaps more text, and performance
// data behind a `|` in the first line and behind another one in the text, from there to the end.

public import Health

/// The output of a plugin, taken apart.
public struct NagiosOutput: Hashable, Sendable {
    /// The first line that says anything, without performance data.
    public let text: String
    public let items: [Item]

    /// One `label=value[unit];warn;crit;min;max`.
    public struct Item: Hashable, Sendable {
        public var label: String
        /// Nil for `U`: the plugin could not tell.
        public var value: Double?
        public var unit: String
        public var warn: NagiosRange?
        public var fail: NagiosRange?
        /// What stands behind the value.
        public var scale: Measurement.Scale?
    }

    /// Values read of one run, for limits to be held against.
    public static let itemsMax = 1_024
    /// Values kept of one run.
    public static let measurementsMax = 64
    public static let labelBytesMax = 128

    /// `isCut`: there was more. A number at the end may be a part of one then.
    public init(parsing output: [UInt8], isCut: Bool = false) {
        // By bytes: CR LF is a single letter to a string, and no line end.
        let lines = output.split(separator: 0x0A, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        let first = (lines.first ?? "").split(
            separator: "|",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        var said = Self.trimmed(first.first ?? "")
        var data = first.count > 1 ? String(first[1]) : ""
        var isData = false
        for line in lines.dropFirst() {
            if isData {
                data += " \(line)"
            } else {
                let bar = line.firstIndex(of: "|")
                if said.isEmpty { said = Self.trimmed(line[..<(bar ?? line.endIndex)]) }
                guard let bar else { continue }
                isData = true
                data += " \(line[line.index(after: bar)...])"
            }
        }
        text = said
        if isCut { while let last = data.last, !last.isWhitespace { data.removeLast() } }
        items = Self.items(in: data)
    }

    public var measurements: [Measurement] {
        Array(
            items.lazy.compactMap { item in
                item.value.map {
                    Measurement(label: item.label, value: $0, unit: item.unit, scale: item.scale)
                }
            }.prefix(Self.measurementsMax)
        )
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text.drop { $0.isWhitespace })
    }

    // MARK: Performance data

    private static func items(in data: String) -> [Item] {
        var items: [Item] = []
        var labels: Set<String> = []
        var rest = data[...]
        while items.count < itemsMax {
            rest = rest.drop { $0.isWhitespace }
            guard !rest.isEmpty else { break }
            guard let label = takeLabel(&rest) else {
                // Not an item: what follows the next blank may be one.
                rest = rest.drop { !$0.isWhitespace }
                continue
            }
            var word = rest.prefix { !$0.isWhitespace }
            rest = rest.dropFirst(word.count)
            // Between items belongs a blank; some write a comma too.
            while word.last == "," { word.removeLast() }
            // One name stands for one value: the first, should it come again.
            guard let item = item(label, word), labels.insert(label).inserted else { continue }
            items.append(item)
        }
        return items
    }

    /// Takes `label=` or `'label with blanks'=`, where two quotes stand for one.
    private static func takeLabel(_ rest: inout Substring) -> String? {
        var label = ""
        var cursor = rest
        if cursor.first == "'" {
            cursor.removeFirst()
            while true {
                guard let character = cursor.popFirst() else { return nil }
                if character == "'" {
                    guard cursor.first == "'" else { break }
                    cursor.removeFirst()
                }
                label.append(character)
            }
            // Nothing else could be meant where blanks stand around the sign.
            let blanks = cursor.prefix { $0 == " " || $0 == "\t" }
            if !blanks.isEmpty, cursor.dropFirst(blanks.count).first == "=" {
                cursor = cursor.dropFirst(blanks.count)
                let after = cursor.dropFirst().drop { $0 == " " || $0 == "\t" }
                if (1...labelBytesMax).contains(label.utf8.count) {
                    rest = after
                    return label
                }
            }
        } else {
            label = String(cursor.prefix { $0 != "=" && !$0.isWhitespace })
            cursor = cursor.dropFirst(label.count)
        }
        guard cursor.first == "=", (1...labelBytesMax).contains(label.utf8.count) else {
            return nil
        }
        rest = cursor.dropFirst()
        return label
    }

    private static func item(_ label: String, _ word: Substring) -> Item? {
        let fields = word.split(separator: ";", omittingEmptySubsequences: false)
        guard let first = fields.first, !first.isEmpty else { return nil }
        var item = Item(label: label, value: nil, unit: "")
        if first != "U" {
            guard let quantity = NagiosRange.quantity(first) else { return nil }
            item.value = quantity.value
            item.unit = quantity.unit
        }
        if fields.count > 1 { item.warn = NagiosRange(fields[1]) }
        if fields.count > 2 { item.fail = NagiosRange(fields[2]) }
        item.scale = scale(fields.dropFirst().map { $0 })
        return item
    }

    /// What of `warn;crit;min;max` is what it should be.
    private static func scale(_ fields: [Substring]) -> Measurement.Scale? {
        var scale = Measurement.Scale()
        func field(_ index: Int) -> String { index < fields.count ? String(fields[index]) : "" }
        if NagiosRange(field(0)) != nil { scale.warn = field(0) }
        if NagiosRange(field(1)) != nil { scale.fail = field(1) }
        if NagiosRange.quantity(field(2)) != nil { scale.min = field(2) }
        if NagiosRange.quantity(field(3)) != nil { scale.max = field(3) }
        return scale == Measurement.Scale() ? nil : scale
    }
}
