// Can everybody read the pages? Each pair of colours that meet in their style sheets, in both schemes, against what
// WCAG 2.2 asks for: 4.5 to 1 for text (1.4.3), 3 to 1 for what must be seen to use the page (1.4.11).

import Testing

@testable import Admin

@Suite struct ContrastTests {
    struct Color: Equatable {
        var red, green, blue, alpha: Double

        /// `#rgb`, `#rgba`, `#rrggbb` or `#rrggbbaa`.
        init?(_ text: some StringProtocol) {
            guard text.hasPrefix("#") else { return nil }
            var digits = text.dropFirst().compactMap(\.hexDigitValue)
            if digits.count == 3 || digits.count == 4 { digits = digits.flatMap { [$0, $0] } }
            guard digits.count == 6 || digits.count == 8 else { return nil }
            if digits.count == 6 { digits += [15, 15] }
            let parts = stride(from: 0, to: 8, by: 2).map {
                Double(digits[$0] * 16 + digits[$0 + 1]) / 255
            }
            (red, green, blue, alpha) = (parts[0], parts[1], parts[2], parts[3])
        }

        func over(_ back: Color) -> Color {
            var mixed = self
            mixed.red = red * alpha + back.red * (1 - alpha)
            mixed.green = green * alpha + back.green * (1 - alpha)
            mixed.blue = blue * alpha + back.blue * (1 - alpha)
            mixed.alpha = 1
            return mixed
        }

        /// Relative luminance, as WCAG defines it.
        var luminance: Double {
            func linear(_ part: Double) -> Double {
                part <= 0.04045 ? part / 12.92 : Self.power((part + 0.055) / 1.055)
            }
            return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        }

        /// To the power of 2.4, by the fifth root of the twelfth power.
        private static func power(_ base: Double) -> Double {
            let twelfth = (0..<12).reduce(1.0) { product, _ in product * base }
            var root = base
            for _ in 0..<60 {
                root -=
                    (root * root * root * root * root - twelfth) / (5 * root * root * root * root)
            }
            return root
        }

        func contrast(to other: Color) -> Double {
            let (one, two) = (luminance + 0.05, other.luminance + 0.05)
            return max(one, two) / min(one, two)
        }
    }

    enum Scheme: CaseIterable { case light, dark }

    /// The custom properties of a sheet that are colours, those of the dark scheme over the others.
    private static func colors(of sheet: String, in scheme: Scheme) -> [String: Color] {
        var found: [String: Color] = [:]
        let blocks = sheet.split(separator: ":root", omittingEmptySubsequences: false).dropFirst()
        for (place, block) in blocks.enumerated()
        where place == 0 || scheme == .dark {
            let inside = block.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }
            for line in inside.split(separator: ";") {
                let parts = line.split(separator: ":").map { $0.filter { !$0.isWhitespace } }
                if parts.count == 2, parts[0].hasPrefix("--") { found[parts[0]] = Color(parts[1]) }
            }
        }
        return found
    }

    /// What browsers paint behind a page of this scheme that says nothing itself.
    private static func canvases(_ scheme: Scheme) -> [String] {
        scheme == .light ? ["#fff"] : ["#121212", "#1c1b22"]
    }

    struct Pair: Sendable {
        let front: String
        let back: String
        var least = 4.5
    }

    private static func check(
        _ sheet: String,
        _ pairs: [Pair],
        _ scheme: Scheme,
        back: String
    ) throws {
        let colors = colors(of: sheet, in: scheme)
        func color(_ name: String) throws -> Color {
            try #require(
                Color(name) ?? colors[name] ?? (name == "back" ? Color(back) : nil),
                "\(name)"
            )
        }
        let page = try color(colors["--back"] == nil ? "back" : "--back")
        for pair in pairs {
            let back = try color(pair.back).over(page)
            let front = try color(pair.front).over(back)
            let seen = front.contrast(to: back)
            #expect(seen >= pair.least, "\(scheme): \(pair.front) on \(pair.back): \(seen)")
        }
        // A colour that comes to the sheet comes to this list as well.
        let named = Set(pairs.flatMap { [$0.front, $0.back] })
        #expect(Set(colors.keys).subtracting(named).subtracting(Self.ornaments) == [])
    }

    /// Lines between things that are told apart without them.
    private static let ornaments: Set<String> = ["--line"]

    @Test(arguments: Scheme.allCases)
    func `what the dashboard says can be read`(scheme: Scheme) throws {
        let fills = ["--up", "--warn", "--down", "--out", "--none", "#b3261e"]
        try Self.check(
            Dashboard.style,
            [
                Pair(front: "--fore", back: "--back"), Pair(front: "--dim", back: "--back"),
                Pair(front: "--fore", back: "--soft"), Pair(front: "--dim", back: "--soft"),
                // A chosen row, and a filter that is pressed.
                Pair(front: "--fore", back: "#2b7de033"), Pair(front: "--dim", back: "#2b7de033"),
                Pair(front: "--back", back: "--fore"),
                Pair(front: "#2b7de0", back: "--back", least: 3),
            ] + fills.map { Pair(front: "#fff", back: $0) },
            scheme,
            back: "#fff"
        )
    }

    @Test(arguments: Scheme.allCases)
    func `what the status page says can be read`(scheme: Scheme) throws {
        let words = ["--u", "--w", "--d", "--m", "--dim"]
        let fills = ["#217a3c", "#8a6100", "#b3261e", "#2b5fa8", "#636363"]
        for canvas in Self.canvases(scheme) {
            try Self.check(
                StatusPage.style,
                words.map { Pair(front: $0, back: "back") }
                    + fills.map { Pair(front: "#fff", back: $0) }
                    // The frame of an upstream, and a part of the strip of which nothing is known.
                    + [Pair(front: "--n", back: "back", least: 1.2)],
                scheme,
                back: canvas
            )
        }
    }

    @Test func `contrast is what WCAG says of known pairs`() throws {
        let white = try #require(Color("#fff"))
        let black = try #require(Color("#000000"))
        let grey = try #require(Color("#767676"))
        #expect(abs(white.contrast(to: black) - 21) < 0.001)
        #expect(abs(grey.contrast(to: white) - 4.54) < 0.01)
        #expect(try #require(Color("#0008")).over(white).contrast(to: white) > 3.9)
    }
}
