// Is the first Redis reply the same whether the bytes came at once or one by one?

@testable import Checks

@Sendable func resp(_ bytes: [UInt8]) {
    let whole = parse(bytes)
    // One byte more at a time until there is an answer: later bytes must not change it.
    for count in 0..<bytes.count {
        let part = parse(Array(bytes[..<count]))
        if case .unfinished = part { continue }
        return require(part == whole, "after \(count) bytes \(part), in the end \(whole)")
    }
    if case .reply(let reply, let length) = whole {
        require(length == bytes.count, "\(reply) of \(length) bytes was there before")
    }
}

private enum Answer: Equatable {
    case unfinished, malformed
    case reply(RESPReply, Int)
}

private func parse(_ bytes: [UInt8]) -> Answer {
    do {
        guard let (reply, length) = try RESPReply.parse(bytes) else { return .unfinished }
        require((1...bytes.count).contains(length), "a reply of \(length) bytes")
        _ = reply.description
        return .reply(reply, length)
    } catch {
        return .malformed
    }
}
