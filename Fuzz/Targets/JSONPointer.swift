// Does a JSON pointer find the value it was made for? The bytes are a JSON text: every value in it
// gets its pointer, which must lead back to it; then the bytes are taken for a pointer themselves.

import Vocabulary

@testable import Checks

@Sendable func jsonPointer(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let root = try? JSON(parsing: bytes)
    if let root {
        var budget = valuesMax
        walk(root, at: "", from: root, &budget)
    }
    guard let pointer = JSONPointer(text) else {
        let isPlain = text.isEmpty || bytes.first == 0x2F && !bytes.contains(0x7E)
        return require(!isPlain, "'\(text)' is refused")
    }
    require(pointer.text == text, "'\(pointer.text)' is another text than '\(text)'")
    require(text.isEmpty || bytes.first == 0x2F, "'\(text)' is no pointer")
    require((pointer.value(in: .null) != nil) == text.isEmpty, "'\(text)' of null")
}

/// Values looked at in one text: each is reached from the top.
private let valuesMax = 200

private func walk(_ value: JSON, at path: String, from root: JSON, _ budget: inout Int) {
    budget -= 1
    guard budget > 0 else { return }
    guard let pointer = JSONPointer(path) else { return require(false, "'\(path)' is refused") }
    require(pointer.value(in: root) == value, "'\(path)' leads elsewhere")
    _ = value.plainText
    if let items = value.items {
        require(JSONPointer(path + "/\(items.count)")?.value(in: root) == nil, "past the end")
        for (index, item) in items.enumerated() {
            walk(item, at: path + "/\(index)", from: root, &budget)
        }
    } else if let members = value.members {
        for member in members {
            var token = String.UnicodeScalarView()
            for scalar in member.key.unicodeScalars {
                switch scalar {
                case "~": token.append(contentsOf: "~0".unicodeScalars)
                case "/": token.append(contentsOf: "~1".unicodeScalars)
                default: token.append(scalar)
                }
            }
            walk(member.value, at: path + "/" + String(token), from: root, &budget)
        }
    }
}
