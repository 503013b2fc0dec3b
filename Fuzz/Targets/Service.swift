// Are the lines of a service the same however they come, and is each an answer within limits or a
// mistake with words?

import Health

@testable import Plugins

@Sendable func service(_ bytes: [UInt8]) {
    let whole = pieces(of: bytes, cuts: [])
    require(whole == pieces(of: bytes, cuts: Array(0..<bytes.count)), "others cut everywhere")
    let some = cuts(of: bytes)
    require(whole == pieces(of: bytes, cuts: some), "others cut at \(some)")
    for case .line(let line) in whole {
        require(!line.isEmpty && line.count <= lineBytesMax, "a line of \(line.count) bytes")
        require(!line.contains(0x0A), "two lines in one")
        check(line)
    }
    check(bytes)
}

/// Short, so that it is met.
private let lineBytesMax = 64

private func pieces(of bytes: [UInt8], cuts: [Int]) -> [LineCutter.Piece] {
    var cutter = LineCutter(lineBytesMax: lineBytesMax)
    var pieces: [LineCutter.Piece] = []
    var start = 0
    for end in cuts + [bytes.count] {
        pieces += cutter.add(bytes[start..<end])
        start = end
    }
    if let last = cutter.finish() { pieces.append(last) }
    return pieces
}

private func check(_ line: [UInt8]) {
    do throws(ServiceMistake) {
        let answer = try ServiceAnswer(parsing: line)
        let outcome = answer.outcome
        require(outcome.measurements.count <= ServiceAnswer.measurementsMax, "too many metrics")
        for measurement in outcome.measurements {
            let length = measurement.label.utf8.count
            require((1...ServiceAnswer.labelBytesMax).contains(length), "a label of \(length)")
            require(measurement.value.isFinite, "\(measurement.label) is \(measurement.value)")
        }
        require(!outcome.message.isEmpty, "an outcome without words")
        require(outcome.message.utf8.count <= Outcome.messageBytesMax, "a long message")
        require(outcome.message.utf8.allSatisfy { $0 >= 0x20 }, "more than one line")
        require((outcome.verdict == .neutral) == (outcome.reason == .checked), "\(outcome)")
    } catch {
        require(!error.message.isEmpty, "a mistake without words")
    }
}
