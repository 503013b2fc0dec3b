import HTTP1
import Testing

@Suite struct RoutePathTests {
    @Test(arguments: [
        ("/", "/"), ("/a/b", "/a/b"), ("//a", "//a"), ("/a/", "/a/"), ("/.a/..b/c.", "/.a/..b/c."),
        ("/...", "/..."), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/public/../admin", "/admin"),
        ("/..", "/"), ("/../..", "/"), ("/../../a", "/a"), ("/a/b/..", "/a/"), ("/a/b/.", "/a/b/"),
        ("/a/b/../..", "/"), ("/a/%2e%2E/b", "/b"), ("/a/.%2e/b", "/b"), ("/a/%2e/b", "/a/b"),
        ("/a/%2f../b", "/a/%2f../b"), ("/a/%2", "/a/%2"), ("/a//../b", "/a/b"),
    ])
    func `resolves dot segments and nothing else`(path: String, view: String) {
        let bytes = Array(path.utf8)
        #expect(normalised(bytes) == Array(view.utf8))
        #expect(RoutePath.hasDotSegments(bytes.span) == (path != view))
    }

    /// Every path of up to seven bytes: the view has no dot segment left, begins with a slash, is
    /// no longer than the path, and is itself when nothing was to be resolved.
    @Test func `no short path breaks the promises`() {
        let alphabet = Array("/.a".utf8)
        for length in 0...7 {
            var count = 1
            for _ in 0..<length { count *= 3 }
            for number in 0..<count {
                var bytes = [UInt8(ascii: "/")]
                var rest = number
                for _ in 0..<length {
                    bytes.append(alphabet[rest % 3])
                    rest /= 3
                }
                let view = normalised(bytes)
                if view.first != UInt8(ascii: "/") || RoutePath.hasDotSegments(view.span)
                    || !RoutePath.hasDotSegments(bytes.span) && view != bytes
                {
                    Issue.record("\(String(decoding: bytes, as: UTF8.self))")
                }
            }
        }
    }

    private func normalised(_ bytes: [UInt8]) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: bytes.count)
        var span = output.mutableSpan
        let length = RoutePath.normalise(bytes.span, into: &span)
        return Array(output[..<length])
    }
}
