// Where do connections live? In tables of a fixed size that never move, so that a connection is a
// plain struct named by a number, with no allocation and no reference count.

/// A table of at most `capacity` elements. Memory that was never used is never touched.
struct Slab<Element: BitwiseCopyable> {
    let elements: UnsafeMutablePointer<Element>
    let capacity: Int
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    /// Indices below this have been used at some time.
    private(set) var highWater = 0
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        elements = .allocate(capacity: capacity)
        free = .allocate(capacity: capacity)
    }

    /// The index of a free place, or nil when the table is full.
    @inline(__always)
    mutating func insert(_ element: Element) -> Int? {
        let index: Int
        if freeCount > 0 {
            freeCount &-= 1
            index = Int(free[freeCount])
        } else if highWater < capacity {
            index = highWater
            highWater &+= 1
        } else {
            return nil
        }
        (elements + index).initialize(to: element)
        count &+= 1
        return index
    }

    /// A free place with whatever was left there; a new one holds `blank`.
    @inline(__always)
    mutating func claim(_ blank: @autoclosure () -> Element) -> Int? {
        guard freeCount > 0 else { return insert(blank()) }
        freeCount &-= 1
        count &+= 1
        return Int(free[freeCount])
    }

    @inline(__always)
    mutating func remove(_ index: Int) {
        free[freeCount] = Int32(truncatingIfNeeded: index)
        freeCount &+= 1
        count &-= 1
    }

    func destroy() {
        elements.deallocate()
        free.deallocate()
    }
}
