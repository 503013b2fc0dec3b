// Does a route keep its number, and does nobody get one that another's requests are still counted under?

import Testing
import Vocabulary

@testable import Proxy

@Suite struct RouteNumbersTests {
    private static func listener(_ hosts: [String]) -> ListenerConfiguration {
        ListenerConfiguration(
            bind: .host("127.0.0.1", port: 80),
            mode: .http(routes: hosts.map { RouteConfiguration(host: $0, upstream: "web") })
        )
    }

    private static func number(_ host: String, _ numbers: RouteNumbers) -> Int32? {
        numbers.numbers[RouteName(RouteConfiguration(host: host, upstream: "web"))]
    }

    @Test func `a route keeps its number, and that of another is free a reload later`() {
        var numbers = RouteNumbers()
        #expect(numbers.take([Self.listener(["a", "b"]), Self.listener(["b", "c"])]) == [])
        #expect(Set(numbers.numbers.values) == [0, 1, 2])
        let (a, b, c) = (
            Self.number("a", numbers), Self.number("b", numbers), Self.number("c", numbers)
        )
        #expect(numbers.take([Self.listener(["b", "c", "d"])]) == [a])
        #expect(Self.number("b", numbers) == b && Self.number("c", numbers) == c)
        #expect(Self.number("d", numbers) == 3)
        // Its counts are forgotten by now.
        _ = numbers.take([Self.listener(["b", "c", "d", "e"])])
        #expect(Self.number("e", numbers) == a)
        #expect(numbers.names[0]?.host == "e")
    }

    @Test func `beyond as many as are counted, routes have none`() {
        var numbers = RouteNumbers()
        let hosts = (0..<(RouteNumbers.max + 50)).map { "h\($0)" }
        _ = numbers.take([Self.listener(hosts)])
        #expect(numbers.numbers.count == RouteNumbers.max)
        #expect(Set(numbers.numbers.values).count == RouteNumbers.max)
        #expect(Self.number("h\(RouteNumbers.max)", numbers) == nil)
        #expect(numbers.take([]).count == RouteNumbers.max)
        _ = numbers.take([Self.listener(["x"])])
        #expect((0..<Int32(RouteNumbers.max)).contains(Self.number("x", numbers) ?? -1))
    }
}
