// Does an HTTP check read the same answer however it is cut: interim answers, head, fields and as
// much of the body as it wants?

import HTTP1

@testable import Checks

private struct Reading: Equatable {
    enum Ending: Equatable {
        case complete, unfinished, endedEarly, tooManyInterims
        case malformed(HTTPError.Code)
    }
    var ending = Ending.unfinished
    var status = 0
    var statusText = ""
    var body: [UInt8] = []
    var isCut = false
    var types: [[UInt8]] = []
}

@Sendable func httpReply(_ bytes: [UInt8]) {
    for method in [HTTP1.Method.get, .head] {
        for limit in [0, 16, 4_096] {
            let whole = read(bytes, to: method, bodyBytesMax: limit, cuts: [])
            let everywhere = read(bytes, to: method, bodyBytesMax: limit, cuts: 0..<bytes.count)
            require(whole == everywhere, "cut at every byte: \(everywhere), not \(whole)")
            let some = cuts(of: bytes)
            let cut = read(bytes, to: method, bodyBytesMax: limit, cuts: some)
            require(whole == cut, "cut at \(some): \(cut), not \(whole)")

            require(whole.body.count <= limit, "\(whole.body.count) bytes of a body")
            require(!whole.isCut || whole.body.count == limit, "cut before its limit")
            if case .complete = whole.ending {
                require((101...999).contains(whole.status), "complete with \(whole.status)")
            }
        }
    }
}

private func read(
    _ bytes: [UInt8],
    to method: HTTP1.Method,
    bodyBytesMax: Int,
    cuts: some Sequence<Int>
) -> Reading {
    var reader = ResponseReader(method: method, bodyBytesMax: bodyBytesMax)
    var reading = Reading()
    var fed = 0
    do throws(ResponseReader.Failure) {
        for count in Array(cuts) + [bytes.count] {
            let piece = Array(bytes[fed..<count])
            try piece.span.bytes.withUnsafeBytes { (piece) throws(ResponseReader.Failure) in
                try reader.feed(piece)
            }
            fed = count
        }
        if !reader.isComplete { try reader.end() }
        reading.ending = .complete
    } catch {
        switch error {
        case .malformed(let error): reading.ending = .malformed(error.code)
        case .tooManyInterims: reading.ending = .tooManyInterims
        case .endedEarly: reading.ending = .endedEarly
        }
    }
    reading.status = reader.status
    reading.statusText = reader.statusText
    reading.body = reader.body
    reading.isCut = reader.isCut
    reading.types = reader.withValues(of: "content-type") { $0.map { Array($0) } }
    return reading
}
