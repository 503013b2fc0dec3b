// How are bytes read on the hot path without a bounds check for each?
//
// Every parser here first establishes an end, then reads below it. The window is the one place
// where memory is touched without a check; in debug builds each read asserts, so the tests that
// feed every prefix of every input would trip over a read past the end.

import CScan

/// The bytes of a message, or of what has come of it.
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
        unsafe first(from: start, to: end, muster_controls) {
            $0 < 0x20 && $0 != 0x09 || $0 == 0x7F
        }
    }

    /// The first byte in `start..<end` that ends a request target or may not stand in one: SP, a
    /// control, `#`, or anything above 0x7E. `end` if none.
    @inline(__always)
    func firstOutsideTarget(from start: Int, to end: Int) -> Int {
        unsafe first(from: start, to: end, muster_outside_target) {
            $0 < 0x21 || $0 == 0x23 || $0 > 0x7E
        }
    }

    /// The first of these bytes in `start..<end`; `end` if there is none.
    @inline(__always)
    func first(_ byte: UInt8, from start: Int, to end: Int) -> Int {
        unsafe first(from: start, to: end, { unsafe muster_equal($0, byte) }, { $0 == byte })
    }

    /// The first byte in `start..<end` that is no letter, digit or hyphen; `end` if all are.
    @inline(__always)
    func firstOutsideWord(from start: Int, to end: Int) -> Int {
        unsafe first(from: start, to: end, muster_outside_word) {
            let isLetter = ($0 | 0x20) &- 0x61 < 26
            return !(isLetter || ASCII.isDigit($0) || $0 == 0x2D)
        }
    }

    /// Sixteen bytes a step; the last ones once more with those before them, so that only a message of less than
    /// sixteen is looked at byte by byte. `mask` and `holds` say the same.
    @inline(__always)
    private func first(
        from start: Int,
        to end: Int,
        _ mask: (UnsafePointer<UInt8>) -> UInt32,
        _ holds: (UInt8) -> Bool
    ) -> Int {
        assert(end <= count)
        var index = start
        while index &+ Self.step <= end {
            let hits = unsafe mask(base + index)
            if hits != 0 { return index &+ hits.trailingZeroBitCount }
            index &+= Self.step
        }
        if index >= end { return end }
        if end >= Self.step {
            let known = UInt32(truncatingIfNeeded: Self.step &- (end &- index))
            let hits = unsafe mask(base + (end &- Self.step)) &>> known
            return hits == 0 ? end : index &+ hits.trailingZeroBitCount
        }
        while index < end, !holds(self[index]) { index &+= 1 }
        return index
    }

    static let step = 16

    /// How long the host name at `start` is, where that can be told at a glance: letters, digits, hyphens and dots,
    /// no label empty, fewer than sixteen bytes and no message that ends with them. Zero where it cannot.
    @inline(__always)
    func plainName(at start: Int) -> Int {
        guard start &+ Self.step <= count else { return 0 }
        let dots = unsafe muster_equal(base + start, 0x2E)
        let length = ((unsafe muster_outside_word(base + start) & ~dots) | 1 &<< 16)
            .trailingZeroBitCount
        let inside = dots & (1 &<< UInt32(truncatingIfNeeded: length) &- 1)
        return length == Self.step || inside & (inside &<< 1 | 1) != 0 ? 0 : length
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
        // One space before it, as nearly everybody writes.
        if end &- start >= 2, self[start] == ASCII.space, !ASCII.isBlank(self[start &+ 1]),
            !ASCII.isBlank(self[end &- 1])
        {
            return (start &+ 1, end)
        }
        var start = start
        var end = end
        while start < end, ASCII.isBlank(self[start]) { start &+= 1 }
        while start < end, ASCII.isBlank(self[end &- 1]) { end &-= 1 }
        return (start, end)
    }
}
