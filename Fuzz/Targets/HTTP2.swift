// Does a gRPC server's answer over HTTP/2 mean the same however it is cut, and do header fields
// survive being written and read?

@testable import Checks
@testable import HTTP2

private struct Result: Equatable {
    var fields: [[String]] = []
    var body: [UInt8] = []
    var answers: [UInt8] = []
    var isComplete = false
    var isRefused = false
}

@Sendable func http2(_ bytes: [UInt8]) {
    var whole = receive(bytes, cuts: [])
    var everywhere = receive(bytes, cuts: Array(0..<bytes.count))
    require(whole.isRefused == everywhere.isRefused, "refused only when cut, or only when not")
    if whole.isRefused {
        // The answers to frames before the bad one may be sent already, or never.
        require(everywhere.answers.starts(with: whole.answers), "other answers when cut")
        (whole.answers, everywhere.answers) = ([], [])
    }
    require(whole == everywhere, "cut at every byte: \(everywhere), not \(whole)")
    require(whole.body.count <= HTTP2Call.bodyBytesMax || whole.isRefused, "a body too large")
    if let status = HealthMessage.status(in: whole.body) {
        require(status >= 0, "serving status \(status)")
    }
    _ = HealthMessage.status(in: bytes)
    requireRoundTrip(bytes)
}

private func receive(_ bytes: [UInt8], cuts: [Int]) -> Result {
    var call = HTTP2Call()
    var result = Result()
    var fed = 0
    for count in cuts + [bytes.count] {
        do {
            result.answers += try call.feed(bytes[fed..<count])
        } catch {
            result.isRefused = true
            break
        }
        fed = count
    }
    result.fields = call.headers.map { [$0.name, $0.value] }
    result.body = call.body
    result.isComplete = call.isComplete
    return result
}

private func requireRoundTrip(_ block: [UInt8]) {
    guard let fields = try? HPACK.decode(block) else { return }
    require(fields.count <= HPACK.fieldsMax, "\(fields.count) fields")
    guard let again = try? HPACK.decode(HPACK.encode(fields)) else {
        return require(false, "\(fields) cannot be read back")
    }
    require(
        again.elementsEqual(fields) { $0.name == $1.name && $0.value == $1.value },
        "\(fields) read back as \(again)"
    )
}
