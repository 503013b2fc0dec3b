// What does a script of an older system ask for, and what is no order at all?

import Testing
import Vocabulary

@testable import Admin

@Suite struct CompatOrderTests {
    private static func order(_ text: String) -> Result<CompatOrder, CompatOrder.Problem> {
        Result { () throws(CompatOrder.Problem) in try CompatOrder(Array(text.utf8)) }
    }

    @Test(arguments: [
        (
            #"{"action":"add","ip":"127.0.0.1","port":1112}"#, CompatOrder.Action.add,
            "127.0.0.1:1112"
        ),
        (#"{"action":"del","ip":"127.0.0.1","port":"1112"}"#, .del, "127.0.0.1:1112"),
        (#"{"port":80.0,"ip":"::1","action":"add","more":[]}"#, .add, "[::1]:80"),
        (#"{"action":"add","ip":"app.example","port":65535}"#, .add, "app.example:65535"),
    ])
    func `an order says what to do with which address`(
        _ text: String,
        _ action: CompatOrder.Action,
        _ address: String
    ) throws {
        let order = try Self.order(text).get()
        #expect(order.action == action)
        #expect("\(order.address)" == address)
    }

    @Test(arguments: [
        (#"{"action":"replace","ip":"127.0.0.1","port":1112}"#, "Invalid action"),
        (#"{"action":"","ip":"127.0.0.1","port":1112}"#, "Invalid action"),
        ("", "body: expected JSON such as"),
        ("{", "body: expected JSON such as"),
        ("action=add&ip=127.0.0.1", "body: expected JSON such as"),
        ("[]", "body: expected an object, saw '[]'"),
        ("null", "body: expected an object, saw 'null'"),
        ("{}", "action: expected add or del, saw no such key"),
        (#"{"action":1,"ip":"127.0.0.1","port":1}"#, "action: expected add or del, saw '1'"),
        (#"{"action":"add","port":1112}"#, "ip: expected an address, saw no such key"),
        (#"{"action":"add","ip":1,"port":1112}"#, "ip: expected an address, saw '1'"),
        (#"{"action":"add","ip":"1.2.3","port":1}"#, #"ip: expected an address, saw '"1.2.3"'"#),
        (
            #"{"action":"add","ip":"unix:/x","port":1}"#,
            #"ip: expected an address, saw '"unix:/x"'"#
        ),
        (#"{"action":"add","ip":"a b","port":1}"#, #"ip: expected an address, saw '"a b"'"#),
        (#"{"action":"del","ip":"::1"}"#, "port: expected a port from 1 to 65535, saw no such key"),
        (
            #"{"action":"del","ip":"::1","port":0}"#,
            "port: expected a port from 1 to 65535, saw '0'"
        ),
        (
            #"{"action":"del","ip":"::1","port":"http"}"#,
            #"port: expected a port from 1 to 65535, saw '"http"'"#
        ),
        (
            #"{"action":"del","ip":"::1","port":65536}"#,
            "port: expected a port from 1 to 65535, saw '65536'"
        ),
    ])
    func `what is no order says what was expected`(_ text: String, _ words: String) throws {
        guard case .failure(let problem) = Self.order(text) else {
            Issue.record("expected no order, saw one")
            return
        }
        #expect(problem.text.hasPrefix(words), "\(problem.text)")
        // The original's own words have a status of their own.
        #expect((problem == .action) == (words == "Invalid action"))
    }

    @Test func `an interface cannot be smuggled in, nor a line break`() {
        for text in ["fe80::1", "127.0.0.1:1", "[::1]", "a\\nb", "", "-x"] {
            let order = Self.order(#"{"action":"add","ip":"\#(text)","port":1}"#)
            #expect(throws: CompatOrder.Problem.self, "\(text)") { try order.get() }
        }
    }
}
