// How does somebody who runs another system begin? With what their configuration is in muster's words, and a comment
// for each line that has no counterpart.

import ArgumentParser
import EventLoop
import Foundation
import Glibc
import Import

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Prints a configuration made of another system's.",
        subcommands: [ImportHAProxyCommand.self, ImportNginxCommand.self]
    )
}

/// What the two share.
enum ImportFile {
    static let ending = """
        What is printed passes 'muster validate'. Every server, check and rule of the file is in it, or in a \
        comment with its line. Ends with 0 where nothing is left over, with 1 where comments tell of something, with 2 \
        where the file cannot be read.
        """

    static func read(_ path: String, atMost bytes: Int) throws -> SourceFile {
        let contents: [UInt8]
        do throws(WholeFile.Problem) {
            contents = try WholeFile.contents(of: path, atMost: bytes)
        } catch {
            Console.error("Error: \(path): \(error)")
            throw ExitStatus.failing.code
        }
        return SourceFile(path: path, text: String(decoding: contents, as: UTF8.self))
    }

    static func show(_ imported: Imported) throws {
        if let problem = Console.whole(
            imported.text.hasSuffix("\n") ? String(imported.text.dropLast()) : imported.text
        ) {
            Console.error("Error: standard output: \(problem)")
            throw ExitStatus.failing.code
        }
        if imported.noteCount == 0 { return }
        Console.error(
            "\(imported.noteCount) comment\(imported.noteCount == 1 ? "" : "s") of what has no counterpart, or "
                + "another meaning: read them before you run it"
        )
        if imported.openCount > 0 {
            Console.error("\(imported.openCount) of them: OPEN HERE, where it was forbidden there")
        }
        throw ExitStatus.warning.code
    }

    /// All files that a pattern finds, by name.
    static func find(_ pattern: String, below prefix: String, atMost bytes: Int) -> [SourceFile] {
        let path = pattern.hasPrefix("/") ? pattern : "\(prefix)/\(pattern)"
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(path, 0, nil, &found) == 0 else { return [] }
        let paths = (0..<Int(found.gl_pathc)).compactMap { index in
            found.gl_pathv[index].map { String(cString: $0) }
        }
        return paths.sorted().compactMap { path in
            guard let contents = try? WholeFile.contents(of: path, atMost: bytes) else {
                return nil
            }
            return SourceFile(path: path, text: String(decoding: contents, as: UTF8.self))
        }
    }
}

struct ImportHAProxyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "haproxy",
        abstract: "Prints a configuration made of one of HAProxy.",
        discussion: ImportFile.ending
    )

    @Argument(
        help:
            "The files, such as /etc/haproxy/haproxy.cfg, in their order. Of a folder those that end with .cfg, by name."
    )
    var files: [String]

    func run() throws {
        var sources: [SourceFile] = []
        var left = HAProxyImport.bytesMax
        for path in try files.flatMap(Self.files(of:)) {
            let source = try ImportFile.read(path, atMost: left)
            left -= source.text.utf8.count
            // What was no text has become longer.
            if sources.count == HAProxyImport.filesMax || left < 0 {
                Console.error(
                    "Error: \(path): expected at most \(HAProxyImport.filesMax) files and "
                        + "\(HAProxyImport.bytesMax) bytes together, saw more"
                )
                throw ExitStatus.failing.code
            }
            sources.append(source)
        }
        try ImportFile.show(
            HAProxyImport.read(
                sources,
                from: files.joined(separator: ", "),
                environment: ProcessInfo.processInfo.environment
            )
        )
    }

    /// Those that HAProxy reads where it is given a folder.
    private static func files(of path: String) throws -> [String] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
            isFolder.boolValue
        else { return [path] }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            Console.error("Error: \(path): expected a folder that can be read, saw \(error)")
            throw ExitStatus.failing.code
        }
        // As bytes compare, whatever the language.
        let found = names.filter { $0.hasSuffix(".cfg") && !$0.hasPrefix(".") }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        if found.isEmpty {
            Console.error("Error: \(path): expected files that end with .cfg, saw none")
            throw ExitStatus.failing.code
        }
        return found.map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
    }
}

struct ImportNginxCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nginx",
        abstract: "Prints a configuration made of one of nginx.",
        discussion: ImportFile.ending
    )

    @Argument(help: "The file, such as /etc/nginx/nginx.conf. What it includes is read too.")
    var file: String

    @Option(help: "Where relative names of included files begin; default: the folder of the file.")
    var prefix: String?

    func run() throws {
        let source = try ImportFile.read(file, atMost: NginxImport.bytesMax)
        let folder = prefix ?? URL(fileURLWithPath: file).deletingLastPathComponent().path
        try ImportFile.show(
            NginxImport.read(source) { pattern, _ in
                ImportFile.find(pattern, below: folder, atMost: NginxImport.bytesMax)
            }
        )
    }
}
