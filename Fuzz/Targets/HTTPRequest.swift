// Does a stream of requests mean the same however it is cut, and does every range lie inside it?
//
// The receiver is the one of the unit tests: heads, bodies, and requests one after another.

import HTTP1

@Sendable func httpRequest(_ bytes: [UInt8]) {
    let whole = Receiver.transcript(of: bytes)
    let everywhere = Receiver.transcript(of: bytes, cuts: 0..<bytes.count)
    require(whole == everywhere, "cut at every byte: \(everywhere.summary), not \(whole.summary)")
    let some = cuts(of: bytes)
    let cut = Receiver.transcript(of: bytes, cuts: some)
    require(whole == cut, "cut at \(some): \(cut.summary), not \(whole.summary)")

    if case .refused(_, let status, _, let position) = whole.ending {
        require(position <= bytes.count, "an error at \(position) of \(bytes.count)")
        require((400...599).contains(status), "an error with status \(status)")
    }
    for request in whole.requests {
        let head = request.head
        let end = Int(head.end)
        require(end <= bytes.count, "a head of \(end) bytes in \(bytes.count)")
        require(Int(head.fieldCount) == request.fields.count, "another count of fields")
        for range in [head.methodRange, head.targetRange, head.pathRange] {
            require(range.upperBound <= end, "\(range) beyond \(end)")
        }
        require(head.authorityRange.upperBound <= end, "authority beyond the head")
        require(head.hostRange.upperBound <= end, "host beyond the head")
        require(head.originRange.upperBound <= end, "origin form beyond the head")
        requireInside(request.fields, end: end)
    }
}

/// In the order they came, none touching another.
func requireInside(_ fields: [Field], end: Int) {
    var last = 0
    for field in fields {
        require(!field.name.isEmpty && field.name.lowerBound >= last, "names overlap")
        require(field.value.lowerBound > field.name.upperBound, "a value within its name")
        require(field.value.upperBound <= end, "a value beyond \(end)")
        last = field.value.upperBound
    }
}
