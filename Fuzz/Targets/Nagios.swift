// Is a plugin's output taken apart into one line and values within limits, and are they read back?

@testable import Plugins

@Sendable func nagios(_ bytes: [UInt8]) {
    let output = NagiosOutput(parsing: bytes)
    require(!output.text.utf8.contains(0x0A), "more than one line: \(output.text.debugDescription)")
    require(output.items.count <= NagiosOutput.itemsMax, "\(output.items.count) items")
    for item in output.items {
        let length = item.label.utf8.count
        require((1...NagiosOutput.labelBytesMax).contains(length), "a label of \(length) bytes")
        if let value = item.value {
            require(value.isFinite, "\(item.label) is \(value)")
            requireReadBack(item, value)
        }
        for range in [item.warn, item.fail] {
            if let range { check(range, values: output.items.compactMap(\.value)) }
        }
    }
    if let range = NagiosRange(String(decoding: bytes, as: UTF8.self)) {
        check(range, values: [])
    }
}

private func check(_ range: NagiosRange, values: [Double]) {
    require(range.start <= range.end, "\(range) is backwards")
    var inverted = range
    inverted.isInverted.toggle()
    for value in values + [range.start, range.end, 0, -1, .infinity] {
        require(range.alerts(on: value) != inverted.alerts(on: value), "\(range) on \(value)")
    }
    require(range.alerts(on: range.start) == range.isInverted, "\(range) leaves out its start")
}

/// Letters that join with their neighbours would change more than the value.
private func requireReadBack(_ item: NagiosOutput.Item, _ value: Double) {
    let isPlain = (item.label + item.unit).utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    guard isPlain else { return }
    let label = item.label.split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "''")
    let written = NagiosOutput(parsing: Array("|'\(label)'=\(value)\(item.unit)".utf8))
    guard let read = written.items.first, written.items.count == 1 else {
        return require(false, "'\(label)'=\(value)\(item.unit) is not read back")
    }
    require(read.label == item.label, "'\(item.label)' read back as '\(read.label)'")
    require(read.value == value && read.unit == item.unit, "\(item) read back as \(read)")
}
