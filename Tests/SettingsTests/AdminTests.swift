// What may be said of the admin endpoint, and what is refused?

import Glibc
import Testing
import Vocabulary

@testable import Settings

@Suite struct AdminSettingsTests {
    @Test func `reads who is let in`() throws {
        let admin = try load(
            """
            admin:
              bind: unix:/run/muster/admin.sock
              mode: 0660
              group: root
              token: correct-horse
              protect-reads: true
              hosts: [Muster.Example, localhost.example]
            """
        ).admin
        #expect(admin.mode == 0o660)
        #expect(admin.group == 0)
        #expect(admin.protectsReads)
        #expect(admin.hosts == ["muster.example", "localhost.example"])
    }

    @Test func `reads tokens, and how far each reaches`() throws {
        let text = """
            admin:
              bind: 0.0.0.0:7000
              tokens:
                - { token: look-only-1, scope: read }
                - { token: "12345678", scope: operate }
              token: everything-1

            """
        #expect(
            try load(text).admin.tokens == [
                AdminToken(token: "everything-1", scope: .admin),
                AdminToken(token: "look-only-1", scope: .read),
                AdminToken(token: "12345678", scope: .operate),
            ]
        )
    }

    @Test func `reads where older scripts find their list`() throws {
        let text = """
            upstreams: { web: { peers: [127.0.0.1:1] } }
            admin: { compat-config: { bind: "127.0.0.1:7001", upstream: web } }

            """
        let compat = try load(text).admin.compatConfig
        #expect(compat?.bind == .host("127.0.0.1", port: 7_001))
        #expect(compat?.upstream == "web")
        #expect(compat?.takesToken == false)
        let far = "token: correct-horse, compat-config: { bind: 0.0.0.0:7001, upstream: web }"
        let network = try load("upstreams: { web: {} }\nadmin: { \(far) }\n").admin.compatConfig
        #expect(network?.takesToken == true)
        #expect(try load("admin: { compat-config: }\n").admin.compatConfig == nil)
    }

    @Test(arguments: [
        (
            "{ bind: 0.0.0.0:7001, upstream: web }",
            "2:25: admin.compat-config.bind: expected admin.token or admin.tokens beside an address that "
                + "other machines reach, saw 0.0.0.0:7001 and no token"
        ),
        (
            "{ bind: 127.0.0.1:7001, upstream: wbe }",
            "2:59: admin.compat-config.upstream: expected one of web, saw 'wbe'; did you mean 'web'?"
        ),
        (
            "{ bind: 127.0.0.1:7000, upstream: web }",
            "2:33: admin.compat-config.bind: 127.0.0.1:7000 is taken already by admin.bind, which is "
                + "there unless it says otherwise"
        ),
        (
            "{ bind: 127.0.0.1:7001 }",
            "2:25: admin.compat-config: expected 'upstream', saw no such key"
        ),
        (
            "{ upstream: web }",
            "2:25: admin.compat-config: expected 'bind', saw no such key"
        ),
    ])
    func `refuses a list that leads nowhere`(setting: String, complaint: String) throws {
        let text =
            "upstreams: { web: { peers: [127.0.0.1:1] } }\nadmin: { compat-config: \(setting) }\n"
        #expect(try complaints(text) == ["muster.yaml:\(complaint)"])
    }

    @Test func `reads where scripts that manage a durpina find one`() throws {
        let bind = try load("admin: { compat-durpina: { bind: 127.0.0.1:7002 } }\n").admin
            .compatDurpina
        #expect(bind == .host("127.0.0.1", port: 7_002))
        #expect(
            try complaints("admin: { compat-durpina: { bind: 0.0.0.0:7002 } }\n") == [
                "muster.yaml:1:26: admin.compat-durpina.bind: expected admin.token or admin.tokens beside an "
                    + "address that other machines reach, saw 0.0.0.0:7002 and no token"
            ]
        )
    }

    @Test func `reads where HAProxy's tools find a socket`() throws {
        func socket(_ text: String) throws -> HAProxySocketSetting? {
            try load("admin: { haproxy-socket: \(text) }\n").admin.haproxySocket
        }
        let path = Address.unix(path: "/run/h.sock")
        #expect(try socket("/run/h.sock") == HAProxySocketSetting(bind: path))
        #expect(try socket("'unix:/run/h.sock'") == HAProxySocketSetting(bind: path))
        #expect(try socket("{ bind: /run/h.sock }") == HAProxySocketSetting(bind: path))
        #expect(
            try socket("{ bind: 'unix:/run/h.sock', mode: 0660, group: root }")
                == HAProxySocketSetting(bind: path, mode: 0o660, group: 0)
        )
        #expect(try socket("127.0.0.1:9999")?.bind == .host("127.0.0.1", port: 9_999))
        #expect(try socket("") == nil)
    }

    @Test(arguments: [
        (
            "0.0.0.0:9999",
            "1:26: admin.haproxy-socket: expected an address that only this machine reaches, since there is no "
                + "token in this protocol, saw 0.0.0.0:9999"
        ),
        (
            "{ bind: 127.0.0.1:9999, mode: 0660 }",
            "1:56: admin.haproxy-socket.mode: expected admin.haproxy-socket.bind to be unix:/path beside it; "
                + "other addresses have no file"
        ),
        ("{ mode: 0660 }", "1:26: admin.haproxy-socket: expected 'bind', saw no such key"),
        (
            "[]",
            "1:26: admin.haproxy-socket: expected a text, saw a list"
        ),
    ])
    func `refuses a socket that anybody reaches`(setting: String, complaint: String) throws {
        #expect(
            try complaints("admin: { haproxy-socket: \(setting) }\n") == [
                "muster.yaml:\(complaint)"
            ]
        )
    }

    @Test func `says nothing of what is not there`() throws {
        let admin = try load("admin: { bind: unix:/run/a, mode: , group: , hosts: }\n").admin
        #expect(admin.mode == nil)
        #expect(admin.group == nil)
        #expect(admin.hosts == [])
        #expect(!admin.protectsReads)
        #expect(try load("admin: { bind: unix:/run/a, group: 4711 }\n").admin.group == 4_711)
    }

    @Test(arguments: [
        (
            "mode: 0668", "1:31: admin.mode: expected permission bits such as 0660, saw '0668'"
        ),
        ("mode: rw", "1:31: admin.mode: expected permission bits such as 0660, saw 'rw'"),
        ("mode: 7", "1:31: admin.mode: expected permission bits such as 0660, saw '7'"),
        ("mode: 1777", "1:31: admin.mode: expected permission bits such as 0660, saw '1777'"),
        (
            "group: no-such-group-here",
            "1:32: admin.group: expected a group of this machine, or its number, saw "
                + "'no-such-group-here'"
        ),
        (
            "hosts: ['muster.example:7000']",
            "1:33: admin.hosts[0]: expected a host name without a port, saw 'muster.example:7000'"
        ),
        (
            "hosts: ['http://a']",
            "1:33: admin.hosts[0]: expected a host name without a port, saw 'http://a'"
        ),
        (
            "protect-reads: true",
            "1:40: admin.protect-reads: expected admin.token or admin.tokens beside it, saw none: nobody "
                + "could read"
        ),
        (
            "tokens: [{ token: 12345678, scope: write }]",
            "1:60: admin.tokens[0].scope: expected one of read, operate, admin, saw 'write'"
        ),
        (
            "tokens: [{ token: 12345678 }]",
            "1:34: admin.tokens[0]: expected 'scope', saw no such key"
        ),
        (
            "tokens: [{ token: short, scope: read }]",
            "1:43: admin.tokens[0].token: expected at least 8 letters without spaces"
        ),
        (
            "token: 12345678, tokens: [{ token: 12345678, scope: read }]",
            "1:51: admin.tokens[0]: expected a token of its own, saw one that is written before"
        ),
    ])
    func `refuses what makes no sense`(setting: String, complaint: String) throws {
        let found = try complaints("admin: { bind: unix:/r, \(setting) }\n")
        #expect(found == ["muster.yaml:\(complaint)"])
    }

    @Test(arguments: ["mode: 0660", "group: root"])
    func `a port has no file`(setting: String) throws {
        let found = try complaints("admin: { \(setting) }\n")
        #expect(found.count == 1)
        #expect(found.first?.contains("expected admin.bind to be unix:/path beside it") == true)
    }
}
