// Where do lines end in what a program prints? Pure: bytes in as they come, whole lines out, and
// never more kept than one line may have.

public struct LineCutter {
    public enum Piece: Hashable {
        /// Without its end, and never empty.
        case line([UInt8])
        /// Said as soon as it is; the rest of that line is dropped.
        case tooLong
    }

    public let lineBytesMax: Int
    private var part: [UInt8] = []
    private var isSkipping = false

    public init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    public mutating func add(_ bytes: ArraySlice<UInt8>) -> [Piece] {
        var pieces: [Piece] = []
        var rest = bytes
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x0A)
            let piece = rest[..<(end ?? rest.endIndex)]
            if !isSkipping {
                if part.count + piece.count > lineBytesMax {
                    pieces.append(.tooLong)
                    part = []
                    isSkipping = true
                } else {
                    part += piece
                }
            }
            guard let end else { break }
            if !isSkipping, let line = take() { pieces.append(line) }
            isSkipping = false
            rest = rest[rest.index(after: end)...]
        }
        return pieces
    }

    /// What stands at the end without a line end.
    public mutating func finish() -> Piece? {
        defer { isSkipping = false }
        return isSkipping ? nil : take()
    }

    private mutating func take() -> Piece? {
        if part.last == 0x0D { part.removeLast() }
        defer { part = [] }
        return part.isEmpty ? nil : .line(part)
    }
}
