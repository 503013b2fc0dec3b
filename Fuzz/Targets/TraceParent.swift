// What is taken for a `traceparent` says the same when it is written again, and nothing behind its own length is
// read in version 00.

import Spans

@Sendable func traceparent(_ bytes: [UInt8]) {
    guard let read = bytes.withUnsafeBufferPointer({ TraceParent($0) }) else { return }
    require(bytes.count >= TraceParent.length, "shorter than one can be")
    let isKnown = bytes.starts(with: [48, 48])
    require(!isKnown || bytes.count == TraceParent.length, "longer than version 00 is")
    var written = [UInt8](repeating: 0, count: TraceParent.length)
    written.withUnsafeMutableBufferPointer { room in
        if let start = room.baseAddress { read.write(to: start) }
    }
    let text = String(decoding: written, as: UTF8.self)
    require(TraceParent(text) == read, "'\(text)' reads as something else")
    require(written[3..<52] == bytes[3..<52], "'\(text)' names others")
}
