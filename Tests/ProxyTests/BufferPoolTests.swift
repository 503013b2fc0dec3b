// Is memory given back that a burst took, and not that which is in use?

import Testing

@testable import Proxy

@Suite struct BufferPoolTests {
    /// Blocks taken at once, then given back.
    private static func burst(_ pool: inout BufferPool, _ count: Int) {
        var buffers = (0..<count).map { _ in Buffer() }
        for index in buffers.indices {
            pool.fill(&buffers[index])
            buffers[index].append(byte: UInt8(index & 0xFF))
        }
        for index in buffers.indices {
            #expect(buffers[index].bytes == [UInt8(index & 0xFF)])
            pool.release(&buffers[index])
        }
    }

    @Test func `what nobody used for a while has no memory, and can be used again`() {
        var pool = BufferPool()
        defer { pool.destroy() }
        Self.burst(&pool, 300)
        #expect(pool.made == 300)
        pool.rest(isPeriodOver: true)
        #expect(pool.cold == 0, "used within this period")
        // Ten are in use all the time.
        for _ in 0..<3 {
            Self.burst(&pool, 10)
            pool.rest(isPeriodOver: true)
            for _ in 0..<4 {
                Self.burst(&pool, 10)
                pool.rest(isPeriodOver: false)
            }
        }
        #expect(pool.cold == 290)
        Self.burst(&pool, 300)
        pool.rest(isPeriodOver: false)
        #expect(pool.cold == 0)
        #expect(pool.made == 300)
        #expect(pool.lent == 0)
    }

    @Test func `a few at a time`() {
        var pool = BufferPool()
        defer { pool.destroy() }
        let count = 2 * BufferPool.restsAtOnce + 40
        Self.burst(&pool, count)
        pool.rest(isPeriodOver: true)
        pool.rest(isPeriodOver: true)
        #expect(pool.cold == BufferPool.restsAtOnce)
        pool.rest(isPeriodOver: false)
        #expect(pool.cold == 2 * BufferPool.restsAtOnce)
        pool.rest(isPeriodOver: false)
        #expect(pool.cold == count)
    }

    @Test func `large blocks are few, and who gets none keeps the small one`() {
        var pool = BufferPool()
        defer { pool.destroy() }
        var buffers = (0...BufferPool.largeMost).map { _ in Buffer() }
        for index in buffers.indices {
            pool.fill(&buffers[index])
            pool.enlarge(&buffers[index])
        }
        #expect(buffers.count { $0.isLarge } == BufferPool.largeMost)
        #expect(buffers[0].room == Buffer.largeCapacity)
        #expect(buffers[BufferPool.largeMost].room == Buffer.capacity)
        #expect(pool.lent == buffers.count)
        pool.release(&buffers[0])
        pool.enlarge(&buffers[BufferPool.largeMost])
        #expect(buffers[BufferPool.largeMost].isLarge)
        for index in buffers.indices { pool.release(&buffers[index]) }
        #expect(pool.lent == 0)
        // The small ones that went back were the same one, again and again.
        #expect(pool.made == BufferPool.largeMost + 1)
    }

    @Test func `what fits a small block moves there, in its order`() {
        var pool = BufferPool()
        defer { pool.destroy() }
        var buffer = Buffer()
        pool.enlarge(&buffer)
        while buffer.count < 100_000 { buffer.append(byte: UInt8(buffer.count & 0xFF)) }
        buffer.consume(100_000 - Buffer.capacity - 1)
        pool.shrink(&buffer)
        #expect(buffer.isLarge, "one byte too many")
        buffer.consume(1)
        let bytes = buffer.bytes
        pool.shrink(&buffer)
        #expect(!buffer.isLarge)
        #expect(buffer.bytes == bytes)
        #expect(buffer.room == 0)
        #expect(pool.lent == 1)
        pool.release(&buffer)
    }
}
