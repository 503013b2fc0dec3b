/// Which path does a request route by?
///
/// Routes are matched against a view in which dot segments are resolved (RFC 3986 5.2.4), because
/// an upstream will resolve them: `/public/../admin` has to match the route of `/admin`. The
/// request is forwarded with its path as it came. Nothing is decoded, with one exception: `%2e` is
/// a dot here, since upstreams that decode first see one.
public enum RoutePath {
    /// Whether `path` holds a segment that `normalise` would take out. Nearly all do not, and can
    /// be matched in place.
    public static func hasDotSegments(_ path: Span<UInt8>) -> Bool {
        var cursor = 0
        while cursor < path.count {
            // Only what follows a slash can be a dot segment.
            if path[cursor] == slash, dots(path, cursor + 1) > 0 { return true }
            cursor += 1
        }
        return false
    }

    /// Writes the view into `output`, which is at least as long as `path`, and returns its length.
    /// `path` begins with a slash, and so does the view: no number of `..` leads above the root.
    public static func normalise(_ path: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Int
    {
        precondition(output.count >= path.count)
        precondition(!path.isEmpty && path[0] == slash)
        var length = 0
        var cursor = 0
        while cursor < path.count {
            assert(path[cursor] == slash)
            let start = cursor
            let dots = dots(path, cursor + 1)
            cursor += 1
            while cursor < path.count, path[cursor] != slash { cursor += 1 }
            if dots == 0 {
                for index in start..<cursor {
                    output[length] = path[index]
                    length += 1
                }
                continue
            }
            if dots == 2 {
                while length > 0 {
                    length -= 1
                    if output[length] == slash { break }
                }
            }
            // A dot segment at the end leaves the slash: `/a/..` is the folder `/`.
            if cursor == path.count {
                output[length] = slash
                length += 1
            }
        }
        return length
    }

    private static var slash: UInt8 { 0x2F }

    /// 1 or 2 when the segment that begins at `start` is `.` or `..`, else 0.
    private static func dots(_ path: Span<UInt8>, _ start: Int) -> Int {
        var cursor = start
        var count = 0
        while cursor < path.count, path[cursor] != slash {
            if path[cursor] == UInt8(ascii: ".") {
                cursor += 1
            } else if cursor + 2 < path.count, path[cursor] == UInt8(ascii: "%"),
                path[cursor + 1] == UInt8(ascii: "2"), path[cursor + 2] | 0x20 == UInt8(ascii: "e")
            {
                cursor += 3
            } else {
                return 0
            }
            count += 1
            if count > 2 { return 0 }
        }
        return count
    }
}
