// Does a chunked body hold the same data however it is cut, and does every range lie inside it?

import HTTP1

private struct Body: Equatable {
    enum Ending: Equatable {
        case unfinished
        case end(Int)
        case refused(HTTPError.Code, at: Int)
    }
    var data: [UInt8] = []
    var trailers: [[UInt8]] = []
    var ending = Ending.unfinished
}

@Sendable func chunked(_ bytes: [UInt8]) {
    for side in [HTTPError.Side.request, .response] {
        let whole = decode(bytes, of: side, cuts: [])
        let everywhere = decode(bytes, of: side, cuts: Array(0..<bytes.count))
        require(whole == everywhere, "cut at every byte: \(everywhere), not \(whole)")
        let some = cuts(of: bytes)
        require(whole == decode(bytes, of: side, cuts: some), "another body cut at \(some)")

        guard !whole.data.isEmpty else { continue }
        let again = decode(encode(whole.data), of: side, cuts: [])
        require(again.data == whole.data, "other data after writing")
        if case .end = again.ending { continue }
        require(false, "what ChunkWriter wrote has no end: \(again.ending)")
    }
}

private func decode(_ bytes: [UInt8], of side: HTTPError.Side, cuts: [Int]) -> Body {
    var decoder = ChunkedDecoder(of: side)
    var body = Body()
    /// What the decoder has done with; it sees what lies between this and a cut.
    var consumed = 0
    for count in cuts + [bytes.count] {
        let seen = Array(bytes[consumed..<count])
        var position = 0
        do {
            while true {
                let before = position
                switch try decoder.next(in: seen.span, at: &position) {
                case .data(let range):
                    require(!range.isEmpty && range.upperBound == position, "data at \(range)")
                    require(range.lowerBound >= before, "data taken twice")
                    body.data += seen[range]
                case .trailer(let name, let value):
                    require(name.lowerBound >= before, "a trailer taken twice")
                    require(value.upperBound <= position, "a trailer beyond its line")
                    body.trailers += [Array(seen[name]), Array(seen[value])]
                    require(position > before, "a trailer took nothing")
                    continue
                case .needMore: break
                case .end:
                    body.ending = .end(consumed + position)
                    return body
                }
                require(position >= before && position <= seen.count, "moved to \(position)")
                if position == before || position == seen.count { break }
            }
            consumed += position
        } catch {
            require(error.position <= seen.count, "an error past the input")
            body.ending = .refused(error.code, at: consumed + Int(error.position))
            return body
        }
    }
    return body
}

private func encode(_ data: [UInt8]) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: ChunkWriter.headerBytes)
    var span = room.mutableSpan
    let start = ChunkWriter.writeHeader(size: data.count, atEndOf: &span)
    return room[start...] + data + Array("\r\n0\r\n\r\n".utf8)
}
