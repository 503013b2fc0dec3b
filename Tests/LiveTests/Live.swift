// Which binary do these tests speak of, and how does it run? `muster` itself, as a user starts it.

import Foundation
import Glibc
import TestSupport
import Testing

/// The whole product at work: one test after the other, because each watches a clock.
@Suite(.serialized) enum Live {}

enum Muster {
    struct Result: Equatable {
        var exitCode: Int32
        var output: String

        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// How long a command that probes nothing may take on a machine with much else to do.
    private static let commandLimit = Duration.seconds(20)

    /// `MUSTER_BINARY`, or what the build put beside the tests.
    static let binary: String = {
        if let chosen = ProcessInfo.processInfo.environment["MUSTER_BINARY"] { return chosen }
        return URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("muster").path
    }()

    static func start(
        _ arguments: [String],
        environment: [String: String] = [:],
        in folder: TemporaryDirectory
    ) throws -> ChildProcess {
        guard ChildProcess.find(binary) != nil else {
            throw ChildProcess.Failure("expected muster at \(binary): set MUSTER_BINARY")
        }
        let inherited = ProcessInfo.processInfo.environment
        return try ChildProcess(
            binary,
            arguments,
            environment: inherited.merging(environment) { $1 },
            in: folder
        )
    }

    /// With so many open files at most.
    static func start(
        _ arguments: [String],
        descriptors: Int,
        in folder: TemporaryDirectory
    ) throws -> ChildProcess {
        let words = ([binary] + arguments).map { "'\($0)'" }.joined(separator: " ")
        return try ChildProcess(
            "sh",
            ["-c", "ulimit -n \(descriptors) && exec \(words)"],
            in: folder
        )
    }

    /// Runs a command to its end.
    static func run(
        _ arguments: String...,
        environment: [String: String] = [:]
    ) async throws -> Result {
        let folder = try TemporaryDirectory()
        let process = try start(arguments, environment: environment, in: folder)
        return try await finish(process, "muster \(arguments.joined(separator: " "))")
    }

    static func finish(_ process: ChildProcess, _ name: String) async throws -> Result {
        guard let code = await process.exitCode(within: commandLimit) else {
            throw ChildProcess.Failure("\(name) does not end: \(process.output)")
        }
        return Result(exitCode: code, output: process.output)
    }
}
