// May this request come from where it comes from? A browser sends requests for any page that a person
// opens, from inside the network where muster is. So the page has to be our own (Origin,
// Sec-Fetch-Site), the name has to be one of ours (Host: a page can have its own name point here, DNS
// rebinding), and a write has to be of a type that no form can send.

public import Vocabulary

/// What a request says about where it comes from.
public struct Visit: Hashable, Sendable {
    public var method: String
    public var path: String
    /// The authority of the target or of `Host`; nil without one, as HTTP/1.0 allows.
    public var host: String?
    public var origin: String?
    /// `Sec-Fetch-Site` and `Sec-Fetch-Mode`.
    public var fetchSite: String?
    public var fetchMode: String?
    public var contentType: String?
    /// It has a field that browsers send and commands do not.
    public var isOfBrowser: Bool

    public init(
        _ method: String,
        _ path: String,
        host: String? = nil,
        origin: String? = nil,
        fetchSite: String? = nil,
        fetchMode: String? = nil,
        contentType: String? = nil,
        isOfBrowser: Bool? = nil
    ) {
        self.method = method
        self.path = path
        self.host = host
        self.origin = origin
        self.fetchSite = fetchSite
        self.fetchMode = fetchMode
        self.contentType = contentType
        self.isOfBrowser = isOfBrowser ?? (origin != nil || fetchSite != nil || fetchMode != nil)
    }

    init(_ request: FrontRequest) {
        self.init(
            request.method,
            request.path,
            host: request.authority,
            origin: request["origin"],
            fetchSite: request["sec-fetch-site"],
            fetchMode: request["sec-fetch-mode"],
            contentType: request["content-type"],
            isOfBrowser: request.fields.contains {
                let name = $0.name.lowercased()
                return name.hasPrefix("sec-fetch-") || ["origin", "referer"].contains(name)
            }
        )
    }
}

/// The rules of one admin address.
public struct OriginRules: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// No browser gets there.
        case unix
        case loopback
        case network
    }

    public var place: Place
    /// Names that are ours beside those that every machine has, in lower case.
    public var hosts: [String]
    /// Where TLS ends here, a page of ours is an https page.
    public var isSecure: Bool
    /// For everybody, from every page: there is nothing to change, and nothing that not all may see.
    public var isPublic = false

    /// Written by older systems that know no type.
    static let pathsWithoutType: Set<String> = ["/config"]

    public init(bind: Address, hosts: [String] = [], isSecure: Bool = false) {
        switch bind {
        case .unix: place = .unix
        case .host(let host, _): place = Self.isLoopback(host) ? .loopback : .network
        }
        self.hosts = hosts.map { $0.lowercased() }
        self.isSecure = isSecure
    }

    /// Why the request is refused; nil when nothing speaks against it.
    public func refusal(of visit: Visit) -> Refusal? {
        if isPublic, Self.isRead(visit.method) { return nil }
        return refusalByHost(visit) ?? refusalBySite(visit) ?? refusalByOrigin(visit)
            ?? refusalByType(visit)
    }

    // MARK: Host

    private func refusalByHost(_ visit: Visit) -> Refusal? {
        guard place != .unix, place == .loopback || !hosts.isEmpty,
            let host = visit.host, !host.isEmpty
        else { return nil }
        let name = Self.split(host).name
        if name == "localhost" || Self.isLoopback(name) || hosts.contains(name) { return nil }
        // No page can have an address for its name, whoever answers for the names.
        if place == .network, Self.isAddress(name) { return nil }
        let others = hosts.isEmpty ? "" : ", " + hosts.joined(separator: ", ")
        return Refusal(
            421,
            "Host: expected localhost, a loopback address\(others), saw '\(host)'; "
                + "a name that is meant to lead here belongs in admin.hosts"
        )
    }

    static func isLoopback(_ name: String) -> Bool {
        if name == "::1" || name == "[::1]" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func isAddress(_ name: String) -> Bool {
        if name.hasPrefix("[") { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }

    /// In lower case, without the dot of the root. An IPv6 address keeps its brackets.
    private static func split(_ authority: String) -> (name: String, port: String?) {
        let text = authority.lowercased()
        var name = Substring(text)
        var port: String?
        if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
            name = text[..<colon]
            port = String(text[text.index(after: colon)...])
        }
        if name.hasSuffix("."), name.count > 1 { name = name.dropLast() }
        return (String(name), port?.isEmpty == true ? nil : port)
    }

    // MARK: Origin

    private func refusalBySite(_ visit: Visit) -> Refusal? {
        switch visit.fetchSite?.lowercased() {
        case "cross-site": break
        // Another port of the same machine. A link there is followed; its scripts get nothing.
        case "same-site" where visit.fetchMode != "navigate" || !Self.isRead(visit.method): break
        default: return nil
        }
        return Refusal(
            403,
            "Sec-Fetch-Site: expected a request of muster's own pages, saw one that a page of another "
                + "site sent; open the address itself"
        )
    }

    private func refusalByOrigin(_ visit: Visit) -> Refusal? {
        guard let origin = visit.origin, !isOurs(origin, host: visit.host) else { return nil }
        return Refusal(
            403,
            "Origin: expected the address that was asked, '\(visit.host ?? "none")', "
                + "saw '\(origin)'; pages of other sites may not use this API"
        )
    }

    /// The scheme may differ where somebody else ends TLS in front of us; host and port may not.
    private func isOurs(_ origin: String, host: String?) -> Bool {
        guard let host, let mark = origin.range(ofText: "://") else { return false }
        let scheme = origin[..<mark.lowerBound].lowercased()
        guard scheme == "https" || scheme == "http" && !isSecure else { return false }
        let usual = scheme == "https" ? "443" : "80"
        let (theirs, asked) = (Self.split(String(origin[mark.upperBound...])), Self.split(host))
        return !theirs.name.isEmpty && theirs.name == asked.name
            && (theirs.port ?? usual) == (asked.port ?? usual)
    }

    // MARK: Type

    private func refusalByType(_ visit: Visit) -> Refusal? {
        guard visit.isOfBrowser, !Self.isRead(visit.method),
            !Self.pathsWithoutType.contains(visit.path)
        else { return nil }
        let type = visit.contentType?.prefix { $0 != ";" }.lowercased() ?? ""
        let name = type.filter { $0 != " " && $0 != "\t" }
        if name == "application/json" { return nil }
        return Refusal(
            415,
            "Content-Type: expected application/json, saw '\(visit.contentType ?? "none")'"
        )
    }

    static func isRead(_ method: String) -> Bool { ["GET", "HEAD", "OPTIONS"].contains(method) }
}

extension String {
    /// Where `text` begins in this string; Foundation's search has no place down here.
    fileprivate func range(ofText text: String) -> Range<String.Index>? {
        firstRange(of: text)
    }
}
