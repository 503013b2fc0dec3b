// What do the short sections say? `agent`, `store`, `admin` and `log`: who this process is, where its
// states live, who may ask, and how it speaks.

import Glibc
import TLS
import Vocabulary

extension AgentConfiguration {
    static func read(_ section: Section?) -> AgentConfiguration {
        var agent = AgentConfiguration(id: hostName)
        guard var section else { return agent }
        let id = section.read("id") { (setting, path) throws(SettingError) in
            let id = try setting.string(at: path)
            if let problem = Name.problem(in: id) {
                throw SettingError(setting.position, "\(path): \(problem)")
            }
            return id
        }
        if let id { agent.id = id }
        section.finish()
        return agent
    }

    /// The kernel's word for this machine; asking DNS for a longer one could block.
    private static var hostName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "muster" }
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
        return Name.problem(in: name) == nil ? name : "muster"
    }
}

extension StoreConfiguration {
    /// Renewed each second: shorter than two would lose a living agent to one late renewal.
    static let leaseRange = Nanoseconds.seconds(2)...Nanoseconds.seconds(3_600)
    static let prefixBytesMax = 256

    static func read(_ section: Section?, beside file: String) -> StoreConfiguration {
        var store = StoreConfiguration()
        guard var section else { return store }
        let url = section.read("url") { (setting, path) throws(SettingError) in
            let url = try setting.string(at: path)
            do throws(RedisURL.Problem) {
                _ = try RedisURL(text: url)
            } catch {
                throw SettingError(setting.position, "\(path): \(error)")
            }
            return url
        }
        if let url { store.kind = .redis(url: url) }
        let prefix = section.read("prefix") { (setting, path) throws(SettingError) in
            let prefix = try setting.string(at: path)
            guard prefix.utf8.count <= prefixBytesMax, prefix.utf8.allSatisfy({ $0 > 0x20 }) else {
                throw setting.expected(
                    "at most \(prefixBytesMax) bytes without spaces",
                    at: path
                )
            }
            return prefix
        }
        store.prefix = prefix ?? store.prefix
        let usual = store.lease
        let lease = section.read("lease") { (setting, path) throws(SettingError) in
            (try setting.duration(in: leaseRange, at: path), setting.position)
        }
        if let lease {
            store.lease = lease.0
            if lease.0 != usual {
                section.reading.warn(
                    lease.1,
                    "store.lease has no effect in this version: agents need no sign of life"
                )
            }
        }
        store.stateFile = section.outputFile("state-file", beside: file)
        section.finish()
        return store
    }
}

extension TLSIdentity {
    static let keys = ["certificate", "key"]

    /// Takes `tls` of `parent`.
    static func read(_ parent: inout Section, beside file: String) -> TLSIdentity? {
        guard var section = parent.section("tls") else { return nil }
        let files = keys.map { key in
            section.string(key).map { SettingsTree.resolve($0, beside: file) }
        }
        for (key, value) in zip(keys, files) where value == nil { section.reportMissing(key) }
        section.finish()
        guard let certificateFile = files[0], let keyFile = files[1] else { return nil }
        var configuration = TLSConfiguration()
        configuration.verifies = false
        configuration.certificateFile = certificateFile
        configuration.keyFile = keyFile
        do throws(TLSError) {
            // Only to see that the files are there, and that they fit together.
            _ = try TLSContext(client: configuration)
        } catch {
            section.reading.report(
                SettingError(section.position, "\(section.place.path): \(error)")
            )
        }
        return TLSIdentity(certificateFile: certificateFile, keyFile: keyFile)
    }
}

extension AdminConfiguration {
    static let tokenBytesMin = 8

    static func read(
        _ section: Section?,
        _ binds: inout Binds,
        beside file: String
    ) -> AdminConfiguration {
        var admin = AdminConfiguration()
        guard var section else {
            binds.claimDefault(admin.bind, at: "admin.bind")
            return admin
        }
        let setting = section.take("bind")
        if let setting {
            admin.bind = binds.take(setting, at: section.place.key("bind").path) ?? admin.bind
        } else {
            binds.claimDefault(admin.bind, at: "admin.bind")
        }
        let before = section.reading.mistakes.count
        admin.token = section.read("token") { (setting, path) throws(SettingError) in
            let token = try setting.string(at: path)
            guard token.utf8.count >= tokenBytesMin,
                token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else {
                // The token itself stays out of the message.
                throw SettingError(
                    setting.position,
                    "\(path): expected at least \(tokenBytesMin) letters without spaces"
                )
            }
            return token
        }
        admin.identity = TLSIdentity.read(&section, beside: file)
        // A token that was refused has its own report.
        let isMissing = admin.token == nil && section.reading.mistakes.count == before
        if let setting, !admin.bind.isLocal, isMissing {
            section.reading.report(
                SettingError(
                    setting.position,
                    "admin.bind: expected admin.token beside an address that other machines "
                        + "reach, saw \(admin.bind) and no token"
                )
            )
        }
        section.finish()
        return admin
    }
}

extension LogConfiguration {
    static func read(_ section: Section?) -> LogConfiguration {
        var log = LogConfiguration()
        guard var section else { return log }
        log.level = section.word("level") ?? log.level
        log.format = section.word("format") ?? log.format
        section.finish()
        return log
    }
}
