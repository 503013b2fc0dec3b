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
}
