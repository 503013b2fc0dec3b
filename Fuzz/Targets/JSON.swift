// Is what was read written so that it is read again as the same value?

import Vocabulary

@Sendable func json(_ bytes: [UInt8]) {
    let value: JSON
    do {
        value = try JSON(parsing: bytes)
    } catch {
        return require((0...bytes.count).contains(error.offset), "\(error) in \(bytes.count)")
    }
    let written = value.bytes
    guard let again = try? JSON(parsing: written) else {
        return require(false, "\(value.text) is not read back")
    }
    require(again == value, "\(value.text) read back as \(again.text)")
    require(again.bytes == written, "\(value.text) written twice is \(again.text)")
    require(!written.contains(0x0A), "more than one line")
}
