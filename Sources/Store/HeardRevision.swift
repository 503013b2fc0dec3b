// Up to which change do we know everything that Redis holds? Only then can it be told from the changes
// since whether anybody touched an upstream, without looking at all that is asked for.

/// Each change has the number after that of the one before it. One that is missing was not heard of, and
/// nothing is known until everything was read again.
struct HeardRevision {
    private var number: UInt64?
    private var isReading = false

    /// Nil while that is not known.
    var whole: UInt64? { isReading ? nil : number }

    /// Everything is read from now on; all changes up to `number` are in what will be read.
    mutating func begin(at number: UInt64) {
        self.number = number
        isReading = true
    }

    mutating func finish() { isReading = false }

    /// Changes were taken in, in the order of the stream.
    mutating func take(_ numbers: [UInt64]) {
        for next in numbers {
            guard let held = number, next > held else { continue }
            number = next == held &+ 1 ? next : nil
        }
    }
}
