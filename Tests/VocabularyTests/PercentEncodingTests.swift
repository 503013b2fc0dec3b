// Is a name in a URL read as what it stands for, and nothing but that?

import Testing
import Vocabulary

@Suite struct PercentEncodingTests {
    @Test(
        arguments: [
            ("", ""), ("web", "web"), ("%41", "A"), ("a%2Fb", "a/b"), ("a%2fb", "a/b"),
            ("%C3%BC", "ü"), ("ü", "ü"), ("%25%32%35", "%25"), ("a+b", "a+b"), ("%00", "\0"),
            // A mark of byte order is a part of the name: the name without it is another's.
            ("%EF%BB%BFweb", "\u{FEFF}web"),
            ("%", nil), ("%4", nil), ("a%", nil), ("%zz", nil), ("%+1", nil), ("%4%31", nil),
            ("% 1", nil), ("%FC", nil), ("%C3", nil), ("%ED%A0%80", nil), ("%C0%AF", nil),
        ] as [(String, String?)]
    )
    func `what is no encoding of text is nil`(encoded: String, decoded: String?) {
        #expect(encoded.percentDecoded == decoded)
        #expect(Substring(encoded).percentDecoded == decoded)
    }

    @Test func `every byte of ASCII comes back from its digits`() {
        for byte in UInt8(0)...0x7F {
            let digits = String(byte, radix: 16)
            let text = "%" + (digits.count == 1 ? "0" : "") + digits
            #expect(text.percentDecoded == String(Unicode.Scalar(byte)))
            #expect(text.uppercased().percentDecoded == String(Unicode.Scalar(byte)))
        }
    }
}
