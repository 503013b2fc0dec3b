// Who signs the certificates of tests? An authority of their own, made by OpenSSL in files.

import Foundation

/// A certificate authority made for a test, in files.
public final class Authority: Sendable {
    public struct Leaf: Sendable {
        public var certificate: String
        public var key: String

        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    private let folder: TemporaryDirectory
    public let file: String
    private let numbers = Counter()

    public init() throws {
        folder = try TemporaryDirectory()
        file = folder.path("ca.pem")
        try run([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder.path("ca.key"), "-out", file, "-days", "3650", "-subj", "/CN=Test CA",
        ])
    }

    /// A certificate for www.example.test and localhost, or other names, that ends in so many days.
    public func leaf(
        days: Int,
        names: String = "DNS:www.example.test,DNS:localhost"
    ) throws -> Leaf {
        let number = numbers.next()
        let name = "leaf\(number)"
        let (key, request) = (folder.path("\(name).key"), folder.path("\(name).csr"))
        let certificate = folder.path("\(name).pem")
        let extensions = "\(name).cnf"
        try folder.write("subjectAltName=\(names)\n", to: extensions)
        try run([
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", "/CN=www.example.test",
        ])
        try run([
            "x509", "-req", "-in", request, "-CA", file, "-CAkey", folder.path("ca.key"),
            "-set_serial", "\(number)", "-days", "\(days)", "-extfile", folder.path(extensions),
            "-out", certificate,
        ])
        return Leaf(certificate: certificate, key: key)
    }

    /// The same with a key that wants a passphrase.
    public func sealed(_ leaf: Leaf) throws -> Leaf {
        let key = leaf.key + ".sealed"
        try run(["pkey", "-in", leaf.key, "-aes256", "-passout", "pass:secret", "-out", key])
        return Leaf(certificate: leaf.certificate, key: key)
    }

    private func run(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: ChildProcess.find("openssl") ?? "openssl")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw ChildProcess.Failure("openssl \(arguments)")
        }
    }
}

private final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0

    func next() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }
}
