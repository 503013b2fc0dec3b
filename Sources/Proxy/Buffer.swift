// Where do bytes wait? In buffers of one size, taken from a pool only while they hold something: an
// idle connection holds none.

import Glibc

/// Bytes between `start` and `end` of a pooled block. No base means no block is held.
struct Buffer {
    var base: UnsafeMutablePointer<UInt8>?
    var start: Int32 = 0
    var end: Int32 = 0

    /// Holds the largest head with room for the fields that the proxy adds.
    static let capacity = 36_864

    @inline(__always) var count: Int { Int(end &- start) }
    @inline(__always) var isEmpty: Bool { start == end }
    /// Bytes that can still be appended.
    @inline(__always) var room: Int { Self.capacity &- Int(end) }

    @inline(__always)
    func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let bytes = UnsafeBufferPointer(
            start: base.map { UnsafePointer($0 + Int(start)) },
            count: count
        )
        return try body(bytes.span)
    }

    @inline(__always)
    mutating func consume(_ count: Int) {
        assert(count <= self.count)
        start &+= Int32(truncatingIfNeeded: count)
    }

    /// Moves what is left to the front, so that all the room is behind it.
    mutating func compact() {
        guard let base, start > 0 else { return }
        memmove(base, base + Int(start), count)
        end &-= start
        start = 0
    }

    @inline(__always)
    mutating func append(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
        guard let base else { return }
        assert(count <= room)
        memcpy(base + Int(end), bytes, count)
        end &+= Int32(truncatingIfNeeded: count)
    }

    @inline(__always)
    mutating func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always)
    mutating func append(byte: UInt8) {
        base?[Int(end)] = byte
        end &+= 1
    }

    mutating func append(decimal number: Int) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var left = max(number, 0)
        var index = 20
        repeat {
            index &-= 1
            digits[index] = UInt8(truncatingIfNeeded: 48 + left % 10)
            left /= 10
        } while left > 0
        while index < 20 {
            append(byte: digits[index])
            index &+= 1
        }
    }

    /// Has a name of its own, because a literal would rather be a `String` than a `StaticString`.
    mutating func append(text: String) {
        var text = text
        text.withUTF8 { bytes in
            if let start = bytes.baseAddress { append(start, bytes.count) }
        }
    }
}

/// Blocks that nobody uses now. Never given back: a worker that was busy once will be again.
struct BufferPool {
    private var free: [UnsafeMutablePointer<UInt8>] = []
    private(set) var made = 0
    /// Blocks that hold something now.
    var lent: Int { made - free.count }

    init() { free.reserveCapacity(1_024) }

    /// Gives `buffer` a block unless it has one.
    @inline(__always)
    mutating func fill(_ buffer: inout Buffer) {
        if buffer.base != nil { return }
        if let block = free.popLast() {
            buffer = Buffer(base: block)
        } else {
            made += 1
            buffer = Buffer(base: .allocate(capacity: Buffer.capacity))
        }
    }

    /// Takes the block of `buffer` back, whatever it holds.
    @inline(__always)
    mutating func release(_ buffer: inout Buffer) {
        guard let block = buffer.base else { return }
        free.append(block)
        buffer = Buffer()
    }

    mutating func destroy() {
        for block in free { block.deallocate() }
        free = []
    }
}
