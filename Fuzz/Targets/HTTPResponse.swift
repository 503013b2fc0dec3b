// Does a response head say the same however it is cut, and does every range lie inside it?

import HTTP1

private struct Reading: Equatable {
    enum Ending: Equatable {
        case head(ResponseHead)
        case refused(HTTPError)
        case unfinished
    }
    var ending = Ending.unfinished
    var fields: [Field] = []
}

@Sendable func httpResponse(_ bytes: [UInt8]) {
    for method in [HTTP1.Method.get, .head, .connect] {
        let whole = read(bytes, to: method, cuts: [])
        let everywhere = read(bytes, to: method, cuts: Array(0..<bytes.count))
        require(whole == everywhere, "cut at every byte: \(everywhere), not \(whole)")
        let some = cuts(of: bytes)
        require(whole == read(bytes, to: method, cuts: some), "another answer cut at \(some)")

        switch whole.ending {
        case .unfinished: break
        case .refused(let error):
            require(error.position <= bytes.count, "\(error) of \(bytes.count)")
            require(error.status == 502, "an upstream's fault with status \(error.status)")
        case .head(let head):
            require(head.end <= bytes.count, "a head of \(head.end) bytes in \(bytes.count)")
            require(head.reasonRange.upperBound <= Int(head.end), "a reason beyond the head")
            require((100...999).contains(head.status), "status \(head.status)")
            requireInside(whole.fields, end: Int(head.end))
        }
    }
}

private func read(_ bytes: [UInt8], to method: HTTP1.Method, cuts: [Int]) -> Reading {
    var table = FieldTable()
    var parser = HeadParser()
    var reading = Reading()
    for count in cuts + [bytes.count] {
        do {
            // Exactly as long as what has come: AddressSanitizer guards its end.
            let seen = Array(bytes[..<count])
            guard let head = try parser.parseResponse(seen.span, to: method, fields: &table) else {
                continue
            }
            reading.ending = .head(head)
            for index in 0..<table.count { reading.fields.append(table[index]) }
        } catch {
            reading.ending = .refused(error)
        }
        break
    }
    return reading
}
