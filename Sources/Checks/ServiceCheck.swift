// What does a program say that is always there? It is asked one line of JSON a probe and answers with
// another, so that a probe costs no process. Whatever is wrong with the program itself is neutral.

import EventLoop
public import Health
public import Vocabulary

/// Passes when a long-lived program of our own says so.
public struct ServiceCheck: Check {
    public static let kind = "service"
    public static let summary = "ask one long-lived program that answers in lines of JSON"
    public static let probesEachAddress = false

    let command: ServiceCommand
    private let parameters: JSON
    private let position: Position
    private let path: String

    public init(options: inout Options) throws(SettingError) {
        let setting = options.take("service")
        let environment = try CommandCheck.environment(&options)
        let parameters = options.take("parameters")
        guard let setting else { throw options.missing("service") }
        let words = try CommandCheck.words(setting, at: "\(options.path).service")
        self.parameters =
            try parameters.map { (setting) throws(SettingError) in
                _ = try setting.entries(at: "\(options.path).parameters")
                return setting.json
            } ?? .object([])
        command = ServiceCommand(words: words, environment: environment)
        position = setting.position
        path = "\(options.path).service"
    }

    public func warnings(on schedule: Schedule) -> [SettingError] {
        let problem = CommandCheck.problem(with: command.words, at: path)
        return problem.map { [SettingError(position, $0)] } ?? []
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        guard let services = context.services else {
            return Outcome(.neutral, .checked, message: "no service can be run here")
        }
        let home = services.value
        let reply = await home.ask(command, by: context.deadline, since: context.started) { id in
            let question = question(id, target, within: context.deadline - context.loop.instant)
            context.trace?.note("send", Excerpt.of(question, max: Self.excerptBytes))
            return question + [0x0A]
        }
        if !reply.line.isEmpty {
            context.trace?.note("receive", Excerpt.of(reply.line, max: Self.excerptBytes))
        }
        return reply.outcome
    }

    /// What is shown of a line where the user asks for it.
    private static let excerptBytes = 512

    private func question(_ id: Int, _ target: Target, within span: Nanoseconds) -> [UInt8] {
        var host = target.address.hostName
        var port: Int?
        switch target.address {
        case .host(_, let number): port = Int(number)
        case .unix(let path): host = path
        }
        var members: [JSON.Member] = [
            .init("id", JSON(id)),
            .init("upstream", JSON(target.upstream)),
            .init("peer", JSON(target.peer)),
            .init("address", JSON("\(target.address)")),
            .init("host", JSON(host)),
        ]
        if let port { members.append(.init("port", JSON(port))) }
        members.append(.init("timeout_ms", JSON(Int(max(span.milliseconds, 1)))))
        members.append(.init("parameters", parameters))
        return JSON.object(members).bytes
    }
}

extension Setting {
    /// As YAML means it: a text without quotes that is a number, a truth or nothing is no text.
    fileprivate var json: JSON {
        switch value {
        case .scalar(let text, let isQuoted):
            if isNull { return .null }
            guard !isQuoted, let json = try? JSON(parsing: text) else { return .string(text) }
            switch json {
            case .bool, .integer, .number: return json
            default: return .string(text)
            }
        case .list(let items): return .array(items.map(\.json))
        case .map(let entries): return .object(entries.map { .init($0.key, $0.value.json) })
        }
    }
}
