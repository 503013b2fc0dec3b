// Is JSON read as RFC 8259 has it, and written so that everybody reads the same?

import Testing
import Vocabulary

@Suite struct JSONTests {
    private static let valid: [(String, JSON)] = [
        ("null", .null), ("true", true), ("false", false), (" 7 ", 7), ("-0", 0),
        ("-12", -12), ("1.5", 1.5), ("1e3", .number(1_000)), ("-1.5E-2", -0.015),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .long("9223372036854775808")),
        ("0.12345678901234567", .long("0.12345678901234567")),
        ("\"\"", ""), ("\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "a\n\t\"\\/\u{8}\u{C}\r"),
        ("\"\\u0041\\u00e9\\u20AC\"", "A\u{E9}\u{20AC}"), ("\"\\ud83d\\ude00\"", "\u{1F600}"),
        ("\"\u{1F600}\u{7F}\"", "\u{1F600}\u{7F}"),
        ("[]", []), ("[ ]", []), ("[1,[2],{}]", [1, [2], [:]]),
        ("{}", [:]), ("{ \"b\" : 1 , \"a\" : [ ] }", ["b": 1, "a": []]),
    ]

    @Test(arguments: valid)
    func `a valid text has this value`(text: String, value: JSON) throws {
        #expect(try JSON(parsing: text) == value)
    }

    @Test(arguments: [
        ("", 0, "a value", "the end"),
        ("nul", 0, "'null'", "'n'"),
        ("[1,]", 3, "a value", "']'"),
        ("[1 2]", 3, "',' or ']'", "'2'"),
        ("{\"a\":1,}", 7, "a key in quotes", "'}'"),
        ("{a:1}", 1, "a key in quotes", "'a'"),
        ("{\"a\" 1}", 5, "':'", "'1'"),
        ("{\"a\":1", 6, "',' or '}'", "the end"),
        ("{\"a\":1,\"a\":2}", 7, "each key once", "'a' again"),
        ("1 2", 2, "the end", "'2'"),
        ("01", 1, "the end", "'1'"),
        ("-", 1, "a digit", "the end"),
        ("1.", 2, "a digit", "the end"),
        (".5", 0, "a value", "'.'"),
        ("1e", 2, "a digit", "the end"),
        ("+1", 0, "a value", "'+'"),
        ("1e999", 0, "a number between -1.8e308 and 1.8e308", "1e999"),
        ("NaN", 0, "a value", "'N'"),
        ("\"a", 2, "'\"'", "the end"),
        ("\"\n\"", 1, "an escaped control character", "byte 10"),
        ("\"\\x\"", 2, "one of \"\\/bfnrtu", "'x'"),
        ("\"\\u12g4\"", 5, "four hexadecimal digits", "'g'"),
        ("\"\\ud83d\"", 3, "a whole surrogate pair", "half of one"),
        ("\"\\ud83d\\u0041\"", 3, "a whole surrogate pair", "half of one"),
        ("\"\\ude00\"", 3, "a whole surrogate pair", "half of one"),
        ("\u{FEFF}1", 0, "a value", "byte 239"),
    ])
    func `an invalid text is refused at this byte`(
        text: String,
        offset: Int,
        expected: String,
        saw: String
    ) {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
        #expect(error?.offset == offset)
        #expect(error?.expected == expected)
        #expect(error?.saw == saw)
    }

    @Test(arguments: [
        [0x22, 0xFF, 0x22] as [UInt8], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
        [0x22, 0xE2, 0x82, 0x22],
    ])
    func `bytes that are no UTF-8 are refused`(bytes: [UInt8]) {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
        #expect(error?.expected == "a text in UTF-8")
    }

    @Test func `depth and length are limited`() throws {
        let deep = { (levels: Int) in
            String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        }
        _ = try JSON(parsing: deep(64))
        #expect(throws: JSONError.self) { try JSON(parsing: deep(65)) }
        #expect(throws: JSONError.self) { try JSON(parsing: deep(1_000_000)) }
        #expect(throws: JSONError.self) {
            try JSON(parsing: "[1,2]", limits: JSONLimits(bytes: 4))
        }
    }

    private static let values: [JSON] = [
        nil, true, 0, -7, .integer(.max), .integer(.min), 0.1, 1e300, -2.5e-9, "",
        "\u{0}\u{1F}\u{7F}\"\\/\n\r\t\u{2028}\u{1F600}", [], [nil, [true, []]],
        ["z": 1, "a": ["": "x"], "\"": nil],
    ]

    @Test(arguments: values)
    func `what is written is read back the same`(value: JSON) throws {
        #expect(try JSON(parsing: value.bytes) == value)
    }

    @Test func `writing is compact and keeps the order`() {
        let value: JSON = ["b": 1, "a": [true, nil, "x\n"], "c": 1.5]
        #expect(value.text == #"{"b":1,"a":[true,null,"x\n"],"c":1.5}"#)
        #expect(JSON.number(.infinity).text == "null")
    }

    @Test func `every prefix of a text is refused, and no byte makes it crash`() throws {
        let text = #"{"a":[1,-2.5e3,"x\u00e9\\",true,null],"b":{"c":{}}}"#
        let bytes = Array(text.utf8)
        _ = try JSON(parsing: bytes)
        for length in 0..<bytes.count {
            #expect(throws: JSONError.self, "prefix of \(length)") {
                try JSON(parsing: Array(bytes[..<length]))
            }
        }
        for place in bytes.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = bytes
                changed[place] = byte
                do throws(JSONError) {
                    let value = try JSON(parsing: changed)
                    #expect(try JSON(parsing: value.bytes) == value)
                } catch {
                    #expect((0...bytes.count).contains(error.offset))
                }
            }
        }
    }

    @Test func `looking inside is nil where there is nothing of the kind`() {
        let value: JSON = ["n": 1, "d": 2.0, "s": "x", "a": [1], "b": true]
        #expect(value["n"]?.integer == 1)
        #expect(value["d"]?.integer == 2)
        #expect(value["n"]?.double == 1)
        #expect(value["s"]?.integer == nil)
        #expect(value["a"]?[0]?.int == 1)
        #expect(value["a"]?[1] == nil)
        #expect(value["x"] == nil)
        #expect(value["b"]?.bool == true)
        #expect(JSON.object([.init("x", nil), .init("y", 1)]).withoutNulls() == ["y": 1])
    }
}
