// What was meant on a command line that the parser may not understand? Enough of it for a mistake to be
// told as a plugin tells it, and for the help of one kind.

enum CheckArguments {
    private static let valued = ["-o", "--option", "--checks-dir", "--timeout"]
    static let folderDefault = "checks.d"

    /// The kind named after `check`, as far as one is.
    static func kind(in arguments: [String]) -> String? {
        var isValue = false
        for argument in arguments.dropFirst() {
            if isValue {
                isValue = false
            } else if valued.contains(argument) {
                isValue = true
            } else if !argument.hasPrefix("-"), !argument.isEmpty {
                return argument
            }
        }
        return nil
    }

    static func folder(in arguments: [String]) -> String {
        var folder = folderDefault
        for (index, argument) in arguments.enumerated() {
            if argument == "--checks-dir", index + 1 < arguments.count {
                folder = arguments[index + 1]
            } else if argument.hasPrefix("--checks-dir=") {
                folder = String(argument.dropFirst("--checks-dir=".count))
            }
        }
        return folder
    }
}
