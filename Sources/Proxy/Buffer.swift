// Where do bytes wait? In buffers of one size, taken from a pool only while they hold something: an
// idle connection holds none.

import Glibc

/// Bytes between `start` and `end` of a pooled block. No base means no block is held.
struct Buffer {
    var base: UnsafeMutablePointer<UInt8>?
    var start: Int32 = 0
    var end: Int32 = 0
    /// Bytes of the block.
    var size = Int32(Self.capacity)

    /// Holds the largest head with room for the fields that the proxy adds.
    static let capacity = 36_864
    /// Of a large block, for what comes faster than it can be carried away in small ones.
    static let largeCapacity = 262_144

    @inline(__always) var count: Int { Int(end &- start) }
    @inline(__always) var isEmpty: Bool { start == end }
    /// Bytes that can still be appended.
    @inline(__always) var room: Int { Int(size &- end) }
    @inline(__always) var isLarge: Bool { size != Int32(Self.capacity) }

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

/// Blocks for buffers: small ones for whoever needs one, and a few large ones, without which it goes as well.
struct BufferPool {
    private var small = BlockStack(size: Buffer.capacity, most: .max)
    private var large = BlockStack(size: Buffer.largeCapacity, most: Self.largeMost)

    /// Readers that take nothing hold what they have been sent: they get so many large blocks and no more.
    static let largeMost = 64
    /// Given back in one go: each takes the kernel some microseconds.
    static let restsAtOnce = 256

    var made: Int { small.made + large.made }
    var cold: Int { small.cold + large.cold }
    /// Blocks that hold something now.
    var lent: Int { small.lent + large.lent }

    /// Gives `buffer` a block unless it has one.
    @inline(__always)
    mutating func fill(_ buffer: inout Buffer) {
        if buffer.base != nil { return }
        buffer = Buffer(base: small.take())
    }

    /// Gives `buffer`, which holds nothing, a large block where there is one; else it stays as it is.
    @inline(__always)
    mutating func enlarge(_ buffer: inout Buffer) {
        assert(buffer.isEmpty)
        guard !buffer.isLarge, large.hasBlock else { return }
        release(&buffer)
        buffer = Buffer(base: large.take(), size: Int32(Buffer.largeCapacity))
    }

    /// For whoever has to wait now: an empty buffer's block goes back, and what lies in a large block is moved into a
    /// small one if it fits.
    mutating func shrink(_ buffer: inout Buffer) {
        if buffer.isEmpty { return release(&buffer) }
        guard buffer.isLarge, let base = buffer.base, buffer.count <= Buffer.capacity else {
            return
        }
        var smaller = Buffer(base: small.take())
        smaller.append(base + Int(buffer.start), buffer.count)
        release(&buffer)
        buffer = smaller
    }

    /// Called now and then; `isPeriodOver` once a second or so. Gives the memory of blocks back that nobody
    /// has used for a whole period.
    mutating func rest(isPeriodOver: Bool) {
        small.rest(isPeriodOver: isPeriodOver)
        large.rest(isPeriodOver: isPeriodOver)
    }

    /// Takes the block of `buffer` back, whatever it holds.
    @inline(__always)
    mutating func release(_ buffer: inout Buffer) {
        guard let block = buffer.base else { return }
        if buffer.isLarge { large.give(block) } else { small.give(block) }
        buffer = Buffer()
    }

    mutating func destroy() {
        small.destroy()
        large.destroy()
    }
}

/// Blocks of one size that nobody uses now, those used last at the end. What has not been used for a while
/// keeps its place and loses its memory: a worker that was busy once need not be so again.
private struct BlockStack {
    let size: Int
    /// More are never made.
    let most: Int
    private var free: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>>
    private var freeCount = 0
    private var capacity = 1_024
    private(set) var made = 0
    /// So many at the beginning have no memory behind them.
    private(set) var cold = 0
    /// So many at the beginning have not been used since the period began, and in the one before.
    private var unused = 0
    private var unusedBefore = 0
    var lent: Int { made - freeCount }
    @inline(__always) var hasBlock: Bool { freeCount > 0 || made < most }

    init(size: Int, most: Int) {
        self.size = size
        self.most = most
        free = .allocate(capacity: capacity)
    }

    @inline(__always)
    mutating func take() -> UnsafeMutablePointer<UInt8> {
        guard freeCount > 0 else { return make() }
        freeCount &-= 1
        if freeCount < unused { unused = freeCount }
        return free[freeCount]
    }

    /// There is room in `free` for every block that was ever made.
    @inline(never)
    private mutating func make() -> UnsafeMutablePointer<UInt8> {
        made += 1
        if made > capacity {
            let grown = UnsafeMutablePointer<UnsafeMutablePointer<UInt8>>
                .allocate(capacity: capacity * 2)
            grown.moveInitialize(from: free, count: freeCount)
            free.deallocate()
            free = grown
            capacity *= 2
        }
        return pages()
    }

    /// Whole pages, so that they can be given back by themselves.
    private func pages() -> UnsafeMutablePointer<UInt8> {
        let flags = Int32(MAP_PRIVATE) | Int32(MAP_ANONYMOUS)
        let pages = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let pages, pages != MAP_FAILED else {
            // As `allocate` does where there is no memory.
            preconditionFailure("no memory for a buffer")
        }
        return pages.bindMemory(to: UInt8.self, capacity: size)
    }

    /// As `BufferPool.rest`.
    mutating func rest(isPeriodOver: Bool) {
        if isPeriodOver {
            unusedBefore = unused
            unused = freeCount
        }
        cold = min(cold, unusedBefore, unused)
        let target = min(unusedBefore, unused, cold + BufferPool.restsAtOnce)
        while cold < target {
            madvise(free[cold], size, MADV_DONTNEED)
            cold += 1
        }
    }

    @inline(__always)
    mutating func give(_ block: UnsafeMutablePointer<UInt8>) {
        (free + freeCount).initialize(to: block)
        freeCount &+= 1
    }

    mutating func destroy() {
        for place in 0..<freeCount { munmap(free[place], size) }
        free.deallocate()
    }
}
