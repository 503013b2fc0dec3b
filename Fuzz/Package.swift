// swift-tools-version: 6.2
// One binary with every fuzz target, on muster's own sources: `Sources` here is a link to them.
// scripts/fuzz builds and runs it.
import PackageDescription

/// Coverage for libFuzzer to steer by, and AddressSanitizer: the HTTP parser reads through
/// unchecked pointers. Assertions stay although the code is optimised.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .swiftLanguageMode(.v6),
    .unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing", "-assert-config", "Debug"]),
]

let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func system(_ name: String, pkgConfig: String? = nil) -> Target {
    .systemLibrary(name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig)
}

let package = Package(
    name: "fuzz",
    dependencies: [
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        system("CLinux"),
        system("CScan"),
        system("COpenSSL", pkgConfig: "openssl"),
        system("CCurl", pkgConfig: "libcurl"),
        system("CHiredis", pkgConfig: "hiredis"),
        system("CAres", pkgConfig: "libcares"),
        library("Vocabulary"),
        library("Health", ["Vocabulary"]),
        library("Fleet", ["Health", "Vocabulary"]),
        library("HTTP1", ["CScan"]),
        library("HTTP2", ["Vocabulary"]),
        library("Patterns", ["Vocabulary"]),
        library("Plugins", ["Health", "Vocabulary"]),
        library("Import", ["Patterns", "Vocabulary"]),
        library("Spans", ["Vocabulary"]),
        library("EventLoop", ["Vocabulary", "CLinux"]),
        library("DNS", ["EventLoop", "Vocabulary", "CAres"]),
        library("TLS", ["EventLoop", "Vocabulary", "COpenSSL"]),
        library("Ledger", ["EventLoop", "Vocabulary"]),
        library("Redis", ["EventLoop", "TLS", "Vocabulary", "CHiredis"]),
        library("Curl", ["EventLoop", "Vocabulary", "CCurl"]),
        library(
            "Checks",
            [
                "Curl", "EventLoop", "DNS", "TLS", "Health", "HTTP1", "HTTP2", "Patterns",
                "Plugins", "Vocabulary", "CLinux",
            ]
        ),
        library("Store", ["EventLoop", "Fleet", "Ledger", "Redis", "Health", "Vocabulary"]),
        library("Proxy", ["Store", "EventLoop", "HTTP1", "Health", "Spans", "Vocabulary"]),
        library(
            "Monitor",
            ["Checks", "DNS", "Fleet", "Store", "EventLoop", "Health", "Vocabulary", tracing]
        ),
        library(
            "Telemetry",
            ["Checks", "DNS", "EventLoop", "Spans", "Vocabulary", tracing]
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
        library("Front", ["TLS", "HTTP1", "EventLoop", "Vocabulary"]),
        library(
            "Admin",
            [
                "AgentCheck", "Checks", "Ledger", "Monitor", "Notify", "Proxy", "Store",
                "EventLoop", "Health", "TLS", "Front", "HTTP1", "Spans", "Vocabulary", tracing,
            ]
        ),
        library(
            "Settings",
            [
                "Foreign",
                "AgentCheck", "Checks", "EventLoop", "Health", "Notify", "Proxy", "Redis", "Spans",
                "Store", "TLS", "Telemetry", "Vocabulary",
                .product(name: "Yams", package: "Yams"),
            ]
        ),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "Admin", "AgentCheck", "Checks", "DNS", "EventLoop", "HTTP1", "HTTP2", "Health",
                "Import", "Ledger", "Monitor", "Patterns", "Plugins", "Proxy", "Settings", "Spans",
                "Store", "Vocabulary",
            ],
            path: "Targets",
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])],
            // The toolchain's own linker: gold stumbles over what the sanitizer leaves.
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]
        ),
    ]
)
