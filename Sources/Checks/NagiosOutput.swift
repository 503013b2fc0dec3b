// What did a monitoring plugin print? One line for people, then perhaps more text, and performance
// data behind a `|` in the first line and behind another one in the text.

import Health

/// The output of a plugin, taken apart.
struct NagiosOutput: Hashable, Sendable {
    /// The first line, without performance data.
    let text: String
    let items: [Item]

    /// One `label=value[unit];warn;crit;min;max`.
    struct Item: Hashable, Sendable {
        var label: String
        /// Nil for `U`: the plugin could not tell.
        var value: Double?
        var unit: String
        var warn: NagiosRange?
        var fail: NagiosRange?
    }

    /// Values kept of one run.
    static let itemsMax = 64
    static let labelBytesMax = 64

    init(parsing output: [UInt8]) {
        // By bytes: CR LF is a single letter to a string, and no line end.
        let lines = output.split(separator: 0x0A, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        let first = (lines.first ?? "").split(
            separator: "|",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        text = Self.trimmed(first.first ?? "")
        var data = first.count > 1 ? String(first[1]) : ""
        var isData = false
        for line in lines.dropFirst() {
            if isData {
                data += " \(line)"
            } else if let bar = line.firstIndex(of: "|") {
                isData = true
                data += " \(line[line.index(after: bar)...])"
            }
        }
        items = Self.items(in: data)
    }

    var measurements: [Measurement] {
        items.compactMap { item in
            item.value.map { Measurement(label: item.label, value: $0, unit: item.unit) }
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text.drop { $0.isWhitespace })
    }

    // MARK: Performance data

    private static func items(in data: String) -> [Item] {
        var items: [Item] = []
        var rest = data[...]
        while items.count < itemsMax {
            rest = rest.drop { $0.isWhitespace }
            guard !rest.isEmpty else { break }
            guard let label = takeLabel(&rest) else {
                // Not an item: what follows the next blank may be one.
                rest = rest.drop { !$0.isWhitespace }
                continue
            }
            let word = rest.prefix { !$0.isWhitespace }
            rest = rest.dropFirst(word.count)
            if let item = item(label, word) { items.append(item) }
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
        return item
    }
}
