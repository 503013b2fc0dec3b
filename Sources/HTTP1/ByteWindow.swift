/// How are bytes read on the hot path without a bounds check for each?
///
/// Every parser here first establishes an end, then reads below it. The window is the one place
/// where memory is touched without a check; in debug builds each read asserts, so the tests that
/// feed every prefix of every input would trip over a read past the end.
@safe struct ByteWindow {
    private let base: UnsafePointer<UInt8>
    let count: Int

    @inline(__always)
    init?(_ buffer: UnsafeBufferPointer<UInt8>) {
        guard let base = buffer.baseAddress, !buffer.isEmpty else { return nil }
        unsafe self.base = base
        self.count = buffer.count
    }

    @inline(__always)
    subscript(_ index: Int) -> UInt8 {
        assert(index >= 0)
        assert(index < count)
        return unsafe base[index]
    }

    @inline(__always)
    func word<Word: FixedWidthInteger & BitwiseCopyable>(at index: Int, as _: Word.Type) -> Word {
        assert(index >= 0)
        assert(index + Word.bitWidth / 8 <= count)
        let raw = unsafe UnsafeRawPointer(base + index)
        return Word(littleEndian: unsafe raw.loadUnaligned(as: Word.self))
    }

    /// The first byte in `start..<end` that may not stand inside a line: a control other than HTAB,
    /// or DEL. CR and LF are such bytes, so this also finds where a line ends. `end` if none.
    @inline(__always)
    func firstControl(from start: Int, to end: Int) -> Int {
        var index = start
        while index &+ 8 <= end {
            let word = word(at: index, as: UInt64.self)
            let hits = Lanes.below(0x20, in: word) | Lanes.equal(to: 0x7F, in: word)
            if hits == 0 {
                index &+= 8
                continue
            }
            index &+= hits.trailingZeroBitCount &>> 3
            if self[index] != 0x09 { return index }
            index &+= 1
        }
        while index < end {
            let byte = self[index]
            if byte < 0x20 && byte != 0x09 || byte == 0x7F { return index }
            index &+= 1
        }
        return end
    }

    /// The first byte in `start..<end` that ends a request target or may not stand in one: SP, a
    /// control, `#`, or anything above 0x7E. `end` if none.
    @inline(__always)
    func firstOutsideTarget(from start: Int, to end: Int) -> Int {
        var index = start
        while index &+ 8 <= end {
            let word = word(at: index, as: UInt64.self)
            // A byte of 0x80 and above has its own high bit set; DEL is left to `firstControl`.
            let hits =
                Lanes.below(0x21, in: word) | Lanes.equal(to: 0x23, in: word) | word & Lanes.high
            if hits == 0 {
                index &+= 8
                continue
            }
            return index &+ hits.trailingZeroBitCount &>> 3
        }
        while index < end {
            let byte = self[index]
            if byte < 0x21 || byte == 0x23 || byte > 0x7E { return index }
            index &+= 1
        }
        return end
    }

    /// The first colon in `start..<end`; `end` if there is none.
    @inline(__always)
    func firstColon(from start: Int, to end: Int) -> Int {
        var index = start
        // Looks past the end rather than at single bytes.
        while index < end, index &+ 8 <= count {
            let hits = Lanes.equal(to: 0x3A, in: word(at: index, as: UInt64.self))
            if hits != 0 { return min(index &+ hits.trailingZeroBitCount &>> 3, end) }
            index &+= 8
        }
        while index < end, self[index] != 0x3A { index &+= 1 }
        return min(index, end)
    }

    /// A place in `start...end` before which all bytes are letters, digits or hyphens: the first that is none
    /// of these, or one a few bytes before it.
    @inline(__always)
    func firstOutsideWord(from start: Int, to end: Int) -> Int {
        var index = start
        while index &+ 8 <= end {
            let others = Lanes.outsideWord(word(at: index, as: UInt64.self))
            if others != 0 { return index &+ others.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        return index
    }

    /// Whether the bytes at `start` read `lowercase`, letters of either case. The caller has made
    /// sure that the lengths agree. `lowercase` holds letters, digits and hyphens only: besides a
    /// letter's other case, setting bit 5 maps nothing but control bytes onto those, and no line
    /// that is parsed holds such a byte.
    @inline(__always)
    func matches(_ lowercase: StaticString, at start: Int) -> Bool {
        let length = lowercase.utf8CodeUnitCount
        let pattern = unsafe ByteWindow(
            UnsafeBufferPointer(start: lowercase.utf8Start, count: length)
        )
        guard let pattern else { return false }
        return equals(pattern, at: start, length: length, fold: 0x2020_2020_2020_2020)
    }

    /// Whether the bytes at `start` are exactly `text`.
    @inline(__always)
    func reads(_ text: StaticString, at start: Int) -> Bool {
        let length = text.utf8CodeUnitCount
        let pattern = unsafe ByteWindow(UnsafeBufferPointer(start: text.utf8Start, count: length))
        guard let pattern else { return false }
        return equals(pattern, at: start, length: length, fold: 0)
    }

    /// Compares in two overlapping words where it can: with a constant pattern this folds into a
    /// few compares against immediates.
    @inline(__always)
    private func equals(
        _ pattern: ByteWindow,
        at start: Int,
        length: Int,
        fold: UInt64
    ) -> Bool {
        if length >= 8 {
            var index = 0
            while index &+ 8 <= length {
                let seen = word(at: start &+ index, as: UInt64.self) | fold
                if seen != pattern.word(at: index, as: UInt64.self) | fold { return false }
                index &+= 8
            }
            let last = length &- 8
            let seen = word(at: start &+ last, as: UInt64.self) | fold
            return seen == pattern.word(at: last, as: UInt64.self) | fold
        }
        if length >= 4 {
            let fold = UInt32(truncatingIfNeeded: fold)
            let last = length &- 4
            let head = word(at: start, as: UInt32.self) | fold
            let tail = word(at: start &+ last, as: UInt32.self) | fold
            return head == pattern.word(at: 0, as: UInt32.self) | fold
                && tail == pattern.word(at: last, as: UInt32.self) | fold
        }
        let fold = UInt8(truncatingIfNeeded: fold)
        for index in 0..<length where self[start &+ index] | fold != pattern[index] | fold {
            return false
        }
        return true
    }

    /// Whether two ranges of equal length read the same, ASCII letters of either case.
    func sameIgnoringCase(_ left: Int, _ right: Int, length: Int) -> Bool {
        for offset in 0..<length
        where ASCII.lowercase(self[left + offset]) != ASCII.lowercase(self[right + offset]) {
            return false
        }
        return true
    }

    /// `range` without the optional whitespace (SP, HTAB) at either side.
    @inline(__always)
    func trimmed(_ start: Int, _ end: Int) -> (start: Int, end: Int) {
        var start = start
        var end = end
        while start < end, ASCII.isBlank(self[start]) { start &+= 1 }
        while start < end, ASCII.isBlank(self[end &- 1]) { end &-= 1 }
        return (start, end)
    }
}

/// Eight bytes examined at once. Each test sets the high bit of every lane that holds; a borrow may
/// also set lanes above the first hit, so only the lowest set bit is to be believed.
private enum Lanes {
    @inline(__always)
    static var ones: UInt64 { 0x0101_0101_0101_0101 }

    @inline(__always)
    static var high: UInt64 { 0x8080_8080_8080_8080 }

    /// `bound` is at most 0x80.
    @inline(__always)
    static func below(_ bound: UInt64, in word: UInt64) -> UInt64 {
        (word &- ones &* bound) & ~word & high
    }

    @inline(__always)
    static func equal(to byte: UInt64, in word: UInt64) -> UInt64 {
        let difference = word ^ (ones &* byte)
        return (difference &- ones) & ~difference & high
    }

    /// The high bit of every lane that is no letter, digit or hyphen, and of no other: seven bits are added to
    /// seven, so that nothing is carried.
    @inline(__always)
    static func outsideWord(_ word: UInt64) -> UInt64 {
        let low = word & ~high
        let folded = low | ones &* 0x20
        let letters = (folded &+ ones &* (0x80 - 0x61)) & ~(folded &+ ones &* (0x80 - 0x7B))
        let digits = (low &+ ones &* (0x80 - 0x30)) & ~(low &+ ones &* (0x80 - 0x3A))
        let hyphens = ~((low ^ ones &* 0x2D) &+ ~high)
        return ~((letters | digits | hyphens) & ~word) & high
    }
}
