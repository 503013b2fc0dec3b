// Which parser gets the bytes that libFuzzer makes up, and what must be true of its answer?
//
// Every target is a function that ends the process when its property does not hold.

import Glibc

typealias Property = @Sendable ([UInt8]) -> Void

/// What scripts/fuzz selects by FUZZ_TARGET.
let properties: [String: Property] = [
    "canary": canary,
    "http-request": httpRequest,
    "http-response": httpResponse,
    "http-reply": httpReply,
    "chunked": chunked,
    "agent-line": agentLine,
    "engine": engine,
    "import-haproxy": importHAProxy,
    "import-nginx": importNginx,
    "ledger": ledger,
    "nagios": nagios,
    "pattern": pattern,
    "dialogue": dialogue,
    "dns": dns,
    "drop-in": dropIn,
    "http2": http2,
    "json": json,
    "json-pointer": jsonPointer,
    "resp": resp,
    "service": service,
    "settings": settings,
    "state": state,
    "traceparent": traceparent,
    "world": world,
]

private let selected: Property = {
    let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let property = properties[name] else {
        fatalError("FUZZ_TARGET: expected one of \(properties.keys.sorted()), saw '\(name)'")
    }
    return property
}()

/// The copy is as long as the input, so that AddressSanitizer sees a read past its end.
private func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    selected(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

private typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<Arguments>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Where SwiftPM makes a program named `fuzz` begin, so libFuzzer's own `main` is not linked.
@_cdecl("fuzz_main")
func fuzzMain(_ count: CInt, _ arguments: UnsafeMutableRawPointer) -> CInt {
    var count = count
    var arguments = arguments.assumingMemoryBound(to: UnsafeMutablePointer<CChar>?.self)
    return runDriver(&count, &arguments, testOneInput)
}

/// The property of a target. Not `assert`: it holds in every build.
func require(_ isTrue: Bool, _ message: @autoclosure () -> String) {
    if !isTrue { fatalError("broken: \(message())") }
}

/// Up to two places to cut the input at, other ones for other bytes but the same for the same.
func cuts(of bytes: [UInt8]) -> [Int] {
    guard bytes.count > 1 else { return [] }
    // FNV-1a: the standard library's hash differs between runs.
    let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { hash, byte in
        (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    let first = 1 + Int(hash % UInt64(bytes.count - 1))
    let second = 1 + Int((hash >> 32) % UInt64(bytes.count - 1))
    return first == second ? [first] : [min(first, second), max(first, second)]
}

/// A property that never holds: if it is not reported, neither would anything else be.
@Sendable private func canary(_ bytes: [UInt8]) {
    guard bytes.count >= 3, bytes[0] == UInt8(ascii: "o"), bytes[1] == UInt8(ascii: "w") else {
        return
    }
    require(bytes[2] != UInt8(ascii: "l"), "the canary saw an owl")
}
