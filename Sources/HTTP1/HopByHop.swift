/// Which fields end at this hop? (RFC 9110 7.6.1)
extension FieldTable {
    /// Marks every field that must not be forwarded: `Connection` and the unprotected fields that
    /// it names, and those that never pass a hop. `bytes` are those the head was parsed from.
    ///
    /// The proxy copies the rest, then adds its own fields; whatever it adds can therefore not be
    /// removed by what the sender wrote. `Upgrade`, `TE` and `Transfer-Encoding` are written anew
    /// where the next hop is to have them.
    public mutating func markHopByHop(in bytes: Span<UInt8>) {
        if kinds & KnownField.hopByHop == 0 { return }
        unsafe bytes.withUnsafeBufferPointer { buffer in
            guard let window = unsafe ByteWindow(buffer) else { return }
            var hasNamed = false
            for place in 0..<notableCount {
                let index = notableAt(place)
                let field = at(index)
                guard field.known.bit & KnownField.hopByHop != 0 else { continue }
                drop(at: index)
                if field.known == .connection, !ConnectionOptions.isUsual(window, field.value) {
                    hasNamed = dropNamed(by: field, in: window) || hasNamed
                }
            }
            if hasNamed { findNotable() }
        }
    }

    /// Looks each option up among the fields. Both are limited by the head parser, so the worst a
    /// stranger can ask for is `connectionOptions` times `fields` comparisons of lengths. True if any
    /// was there.
    private mutating func dropNamed(by connection: Field, in window: ByteWindow) -> Bool {
        var hasNamed = false
        var elements = ListElements(window, connection.value)
        while let (start, end) = elements.next() {
            let length = end - start
            if length == 0 { continue }
            for index in 0..<count {
                let field = at(index)
                if Int(field.nameLength) == length, !field.known.isProtected,
                    window.sameIgnoringCase(start, Int(field.nameStart), length: length)
                {
                    drop(at: index)
                    hasNamed = true
                }
            }
        }
        return hasNamed
    }
}
