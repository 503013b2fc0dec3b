// swift-tools-version: 6.3
// One binary, `muster`, on targets whose arrows docs/ARCHITECTURE.md draws and a test enforces.
import PackageDescription

/// CI sets MUSTER_WERROR=1; a user's build with a newer compiler must not fail on a new warning.
let strictWarnings: [SwiftSetting] =
    Context.environment["MUSTER_WERROR"] == "1" ? [.treatAllWarnings(as: .error)] : []

let settings: [SwiftSetting] =
    [.enableUpcomingFeature("ExistentialAny"), .swiftLanguageMode(.v6)] + strictWarnings

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)
let unixSignals = Target.Dependency.product(
    name: "UnixSignals",
    package: "swift-service-lifecycle"
)
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let memoryTracing = Target.Dependency.product(
    name: "InMemoryTracing",
    package: "swift-distributed-tracing"
)
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// `MUSTER_TESTS=HealthTests,StoreTests` builds these test targets and leaves out the others: a test
/// of one target need not wait for the compilation of all.
let wantedTests = Context.environment["MUSTER_TESTS"].map {
    $0.split(separator: ",").map(String.init)
}

/// Exclusive access is checked in debug builds, which all tests are. On the paths of requests and
/// probes the checks would cost a fifth of all instructions.
let hotPath: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

func library(
    _ name: String,
    _ dependencies: [Target.Dependency] = [],
    settings more: [SwiftSetting] = []
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings + more)
}

func tests(
    _ name: String,
    _ dependencies: [Target.Dependency],
    exclude: [String] = []
) -> Target {
    .testTarget(
        name: name,
        dependencies: dependencies,
        exclude: exclude,
        swiftSettings: settings
    )
}

/// A typed door to a C library, and the Debian package that has it.
func system(_ name: String, pkgConfig: String? = nil, apt: String? = nil) -> Target {
    .systemLibrary(
        name: name,
        path: "Sources/System/\(name)",
        pkgConfig: pkgConfig,
        providers: apt.map { [.apt([$0])] }
    )
}

let package = Package(
    name: "muster",
    products: [
        .executable(name: "muster", targets: ["muster"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        system("CLinux"),
        system("CScan"),
        system("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
        system("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        // Without pkg-config: Debian's hiredis.pc carries -D_FILE_OFFSET_BITS=64, which SwiftPM warns
        // of and drops. The module map names the library.
        system("CHiredis", apt: "libhiredis-dev"),
        system("CAres", pkgConfig: "libcares", apt: "libc-ares-dev"),

        // Pure: no I/O, no clock, no Foundation.
        library("Vocabulary"),
        library("Health", ["Vocabulary"], settings: hotPath),
        library("Fleet", ["Health", "Vocabulary"], settings: hotPath),
        library("HTTP1", ["CScan"]),
        library("HTTP2", ["Vocabulary"], settings: hotPath),
        library("Patterns", ["Vocabulary"], settings: hotPath),
        library("Spans", ["Vocabulary"]),
        library("Plugins", ["Health", "Vocabulary"], settings: hotPath),
        library("Import", ["Patterns", "Vocabulary"]),

        // The loop, and what hangs on it.
        library("EventLoop", ["Vocabulary", "CLinux"], settings: hotPath),
        library("DNS", ["EventLoop", "Vocabulary", "CAres"]),
        library("TLS", ["EventLoop", "Vocabulary", "COpenSSL"]),
        library("Ledger", ["EventLoop", "Vocabulary"]),
        library("Redis", ["EventLoop", "TLS", "Vocabulary", "CHiredis"]),
        library("Curl", ["EventLoop", "Vocabulary", "CCurl"]),

        library("Front", ["TLS", "HTTP1", "EventLoop", "Vocabulary"]),

        // The product.
        library(
            "Checks",
            [
                "Curl", "EventLoop", "DNS", "TLS", "Health", "HTTP1", "HTTP2", "Patterns",
                "Plugins", "Vocabulary", "CLinux",
            ],
            settings: hotPath
        ),
        library(
            "Store",
            ["EventLoop", "Fleet", "Ledger", "Redis", "Health", "Vocabulary"],
            settings: hotPath
        ),
        library(
            "Monitor",
            ["Checks", "DNS", "Fleet", "Store", "EventLoop", "Health", "Vocabulary", tracing],
            settings: hotPath
        ),
        library(
            "Proxy",
            ["Store", "EventLoop", "HTTP1", "Health", "Spans", "Vocabulary"],
            settings: hotPath
        ),
        library(
            "Foreign",
            ["Checks", "Proxy", "Redis", "EventLoop", "Health", "Vocabulary"]
        ),
        library("AgentCheck", ["Store", "EventLoop", "HTTP1", "Health", "Vocabulary"]),
        library(
            "Notify",
            ["Checks", "DNS", "Ledger", "Store", "EventLoop", "Health", "Vocabulary"]
        ),
        library(
            "Telemetry",
            ["Checks", "DNS", "EventLoop", "Spans", "Vocabulary", tracing]
        ),
        library(
            "Settings",
            [
                "Foreign",
                "AgentCheck", "Checks", "EventLoop", "Health", "Notify", "Proxy", "Redis", "Spans",
                "Store", "TLS", "Telemetry", "Vocabulary", yams,
            ]
        ),
        library(
            "Admin",
            [
                "AgentCheck", "Checks", "Ledger", "Monitor", "Notify", "Proxy", "Store",
                "EventLoop",
                "Health", "TLS", "Front", "HTTP1", "Spans", "Vocabulary", tracing,
            ]
        ),
        .executableTarget(
            name: "muster",
            dependencies: [
                "Admin", "AgentCheck", "Settings", "Monitor", "Notify", "Proxy", "Checks", "DNS",
                "Fleet", "Foreign", "Import",
                "Ledger", "Redis", "Spans", "Store", "TLS", "Telemetry", "EventLoop", "Health",
                "HTTP1",
                "Vocabulary", "CLinux",
                argumentParser, logging, tracing, unixSignals,
            ],
            swiftSettings: settings
        ),

        // What proves it.
        library(
            "Simulation",
            ["EventLoop", "Fleet", "Health", "Store", "Vocabulary"],
            settings: hotPath
        ),
        .executableTarget(
            name: "muster-simulate",
            dependencies: ["Simulation"],
            path: "Tests/Simulate",
            swiftSettings: settings
        ),
        .target(
            name: "TestSupport",
            dependencies: ["EventLoop", "Ledger", "Vocabulary", "CLinux"],
            path: "Tests/TestSupport",
            swiftSettings: settings
        ),
        tests("VocabularyTests", ["Vocabulary", "TestSupport"]),
        tests("HealthTests", ["Health", "Vocabulary"]),
        tests("FleetTests", ["Fleet", "Health", "Vocabulary"]),
        tests("HTTP1Tests", ["HTTP1"], exclude: ["Corpus"]),
        tests("HTTP2Tests", ["HTTP2"]),
        tests("PatternsTests", ["Patterns"]),
        tests("SpansTests", ["Spans", "Vocabulary"]),
        tests("PluginsTests", ["Plugins", "Health", "Vocabulary", "TestSupport"]),
        tests("EventLoopTests", ["EventLoop", "Vocabulary", "TestSupport", "CLinux"]),
        tests("LedgerTests", ["Ledger", "EventLoop", "Vocabulary", "TestSupport"]),
        tests("FrontTests", ["Front", "EventLoop", "Vocabulary", "TestSupport"]),
        tests(
            "ChecksTests",
            [
                "Checks", "Curl", "DNS", "TLS", "EventLoop", "Health", "HTTP1", "HTTP2", "Patterns",
                "Plugins", "Vocabulary", "TestSupport",
            ]
        ),
        tests(
            "StoreTests",
            [
                "Store", "Fleet", "Ledger", "Redis", "TLS", "EventLoop", "Health", "Vocabulary",
                "TestSupport",
            ]
        ),
        tests(
            "MonitorTests",
            [
                "Monitor", "Checks", "DNS", "Fleet", "Proxy", "Simulation", "Store", "EventLoop",
                "Health", "Vocabulary", "TestSupport", memoryTracing,
            ]
        ),
        tests(
            "ProxyTests",
            [
                "Proxy", "Store", "EventLoop", "HTTP1", "Health", "Spans", "Vocabulary",
                "TestSupport",
            ]
        ),
        tests(
            "ForeignTests",
            [
                "Foreign", "Checks", "Proxy", "Redis", "EventLoop", "Health", "Vocabulary",
                "TestSupport",
            ]
        ),
        tests(
            "AgentCheckTests",
            ["AgentCheck", "Store", "EventLoop", "Health", "Vocabulary", "TestSupport"]
        ),
        tests(
            "NotifyTests",
            [
                "Notify", "Checks", "Ledger", "Store", "EventLoop", "Health", "Vocabulary",
                "TestSupport",
            ]
        ),
        tests(
            "TelemetryTests",
            ["Telemetry", "Checks", "EventLoop", "Spans", "Vocabulary", "TestSupport", tracing]
        ),
        tests(
            "SettingsTests",
            [
                "Settings", "AgentCheck", "Checks", "DNS", "EventLoop", "Health", "Notify", "Proxy",
                "Redis", "Spans", "Telemetry", "Vocabulary", "TestSupport",
            ]
        ),
        tests(
            "CommandTests",
            [
                "muster", "Settings", "TestSupport", "Checks", "EventLoop", "Monitor", "Health",
                "Plugins",
                "Vocabulary",
            ]
        ),
        tests(
            "AdminTests",
            [
                "Admin", "EventLoop", "Front", "Ledger", "Monitor", "Proxy", "Spans", "Store",
                "TLS",
                "Health",
                "Vocabulary", "TestSupport", memoryTracing,
            ]
        ),
        tests("LiveTests", ["muster", "EventLoop", "HTTP1", "Vocabulary", "TestSupport"]),
        tests(
            "SimulationTests",
            [
                "Simulation", "Fleet", "Redis", "EventLoop", "Health", "Vocabulary", "TestSupport",
            ]
        ),
        tests(
            "ImportTests",
            ["Import", "Settings", "Health", "Proxy", "Vocabulary", "TestSupport"],
            exclude: ["Configurations"]
        ),
        tests("TidyTests", []),
    ]
)

if let wantedTests {
    package.targets.removeAll { $0.type == .test && !wantedTests.contains($0.name) }
}
