// How do body bytes get from one side's buffer to the other's? Framing is read from the one and
// written anew for the other; nothing is buffered whole, and nothing here knows a socket.

import HTTP1

enum BodyTransfer {
    /// What one step moved.
    struct Step {
        var consumed = 0
        var isDone = false
    }

    /// Room in the output below which nothing is moved: a chunk header, the last chunk, line ends.
    static let roomMin = 64

    /// Moves bytes of a body of known length.
    @inline(__always)
    static func length(
        _ left: inout UInt64,
        from input: inout Buffer,
        to output: inout Buffer
    ) -> Step {
        guard let base = input.base else { return Step(isDone: left == 0) }
        let available = min(input.count, output.room)
        let taken = left < UInt64(available) ? Int(left) : available
        if taken > 0 {
            output.append(base + Int(input.start), taken)
            input.consume(taken)
            left &-= UInt64(taken)
        }
        return Step(consumed: taken, isDone: left == 0)
    }

    /// Moves bytes of a body that ends with its connection, as chunks if `rechunks`.
    static func untilClose(
        from input: inout Buffer,
        to output: inout Buffer,
        rechunks: Bool
    ) -> Step {
        guard let base = input.base, !input.isEmpty else { return Step() }
        let room = rechunks ? output.room - roomMin : output.room
        let taken = min(input.count, room)
        guard taken > 0 else { return Step() }
        if rechunks {
            appendChunk(base + Int(input.start), taken, to: &output)
        } else {
            output.append(base + Int(input.start), taken)
        }
        input.consume(taken)
        return Step(consumed: taken)
    }

    /// Moves bytes of a chunked body: checked, and written anew without extensions. Without
    /// `rechunks` only the data pass, for a client that knows no chunks.
    static func chunked(
        _ decoder: inout ChunkedDecoder,
        from input: inout Buffer,
        to output: inout Buffer,
        rechunks: Bool,
        trailersBegun: inout Bool
    ) throws(HTTPError) -> Step {
        var step = Step()
        while !step.isDone, let base = input.base {
            let room = output.room - roomMin
            if room <= 0 { break }
            // What is decoded must fit the output, so the decoder sees no more than fits.
            let visible = min(input.count, room)
            let bytes = UnsafeBufferPointer(start: base + Int(input.start), count: visible)
            var position = 0
            let event = try decoder.next(in: bytes.span, at: &position)
            switch event {
            case .data(let range):
                if rechunks {
                    appendChunk(
                        base + Int(input.start) + range.lowerBound,
                        range.count,
                        to: &output
                    )
                } else {
                    output.append(base + Int(input.start) + range.lowerBound, range.count)
                }
            case .trailer(let name, let value):
                if rechunks {
                    beginTrailers(&trailersBegun, in: &output)
                    output.append(base + Int(input.start) + name.lowerBound, name.count)
                    output.append(": ")
                    output.append(base + Int(input.start) + value.lowerBound, value.count)
                    output.append("\r\n")
                }
            case .end:
                if rechunks {
                    beginTrailers(&trailersBegun, in: &output)
                    output.append("\r\n")
                }
                step.isDone = true
            case .needMore:
                input.consume(position)
                step.consumed += position
                return step
            }
            input.consume(position)
            step.consumed += position
        }
        return step
    }

    /// Ends a body that was rechunked and ended with its connection.
    static func appendLastChunk(to output: inout Buffer) { output.append(ChunkWriter.lastChunk) }

    private static func beginTrailers(_ begun: inout Bool, in output: inout Buffer) {
        if begun { return }
        begun = true
        output.append("0\r\n")
    }

    private static func appendChunk(
        _ bytes: UnsafePointer<UInt8>,
        _ count: Int,
        to output: inout Buffer
    ) {
        guard let base = output.base else { return }
        // The header is written backwards, so it goes to the end of its largest extent and down.
        let scratch = base + Int(output.end) + ChunkWriter.headerBytes
        let length = ChunkWriter.writeHeader(size: count, endingAt: scratch)
        (base + Int(output.end)).update(from: scratch - length, count: length)
        output.end &+= Int32(length)
        output.append(bytes, count)
        output.append(ChunkWriter.chunkEnd)
    }
}
