// Whose socket is in the way? Read from the kernel's table.

import Glibc
import TestSupport
import Testing

@testable import EventLoop

@Suite struct PortHoldersTests {
    /// 127.0.0.1:8080 and 0.0.0.0:8080 listen; a connection of 8080 and a listener of 8081 are not meant.
    private let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0
           1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0
           2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0
           3: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 44 1 0
           4: torn
        """

    @Test func `only those that listen on the port are told`() {
        let found = PortHolders.listeners(in: table, port: 8_080)
        #expect(found.map(\.address) == ["0100007F", "00000000"])
        #expect(found.map(\.inode) == [41, 42])
        #expect(PortHolders.listeners(in: "", port: 8_080).isEmpty)
    }

    @Test func `a socket of our own is no other's, and makes room where it shares`() throws {
        let narrow = try #require(SocketAddress(.host("127.0.0.1", port: 0)))
        let listener = try Socket.listen(narrow, sharesPort: true)
        let port = try #require(Socket.localAddress(listener.raw)?.port)
        #expect(!PortHolders.isHeldByOthers(port))
        let wide = try #require(SocketAddress(.host("0.0.0.0", port: port)))
        #expect(throws: SystemError.self) { try Socket.requireFree(wide) }
        try Socket.requireFreeOfOthers(wide)
        // One that shares with nobody stays in the way.
        let lonely = try Socket.listen(narrow)
        let other = try #require(Socket.localAddress(lonely.raw)?.port)
        let over = try #require(SocketAddress(.host("0.0.0.0", port: other)))
        #expect(throws: SystemError.self) { try Socket.requireFreeOfOthers(over) }
    }
}
