// swift-tools-version: 6.2
// One binary, `muster`, on targets whose arrows docs/ARCHITECTURE.md draws and a test enforces.
import PackageDescription

/// CI sets MUSTER_WERROR=1; a user's build with a newer compiler must not fail on a new warning.
let strictWarnings: [SwiftSetting] =
    Context.environment["MUSTER_WERROR"] == "1" ? [.treatAllWarnings(as: .error)] : []

let settings: [SwiftSetting] =
    [.enableUpcomingFeature("ExistentialAny"), .swiftLanguageMode(.v6)] + strictWarnings

let package = Package(
    name: "muster",
    products: [
        .executable(name: "muster", targets: ["muster"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // System libraries: typed doors to C, nothing else.
        .systemLibrary(name: "CLinux", path: "Sources/System/CLinux"),
        .systemLibrary(
            name: "COpenSSL",
            path: "Sources/System/COpenSSL",
            pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]
        ),
        .systemLibrary(
            name: "CCurl",
            path: "Sources/System/CCurl",
            pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]
        ),
        .systemLibrary(
            name: "CHiredis",
            path: "Sources/System/CHiredis",
            pkgConfig: "hiredis",
            providers: [.apt(["libhiredis-dev"])]
        ),
        .systemLibrary(
            name: "CAres",
            path: "Sources/System/CAres",
            pkgConfig: "libcares",
            providers: [.apt(["libc-ares-dev"])]
        ),

        // Pure: no I/O, no clock, no Foundation.
        .target(name: "Vocabulary", swiftSettings: settings),
        .target(name: "Health", dependencies: ["Vocabulary"], swiftSettings: settings),
        .target(name: "HTTP1", swiftSettings: settings),

        // The loop, and what hangs on it.
        .target(
            name: "EventLoop",
            dependencies: ["Vocabulary", "CLinux"],
            swiftSettings: settings
        ),
        .target(
            name: "DNS",
            dependencies: ["EventLoop", "Vocabulary", "CAres"],
            swiftSettings: settings
        ),
        .target(
            name: "TLS",
            dependencies: ["EventLoop", "Vocabulary", "COpenSSL"],
            swiftSettings: settings
        ),
        .target(
            name: "Redis",
            dependencies: ["EventLoop", "Vocabulary", "CHiredis"],
            swiftSettings: settings
        ),

        // The product.
        .target(
            name: "Checks",
            dependencies: ["EventLoop", "DNS", "TLS", "Health", "HTTP1", "Vocabulary"],
            swiftSettings: settings
        ),
        .target(
            name: "Store",
            dependencies: ["EventLoop", "Redis", "Health", "Vocabulary"],
            swiftSettings: settings
        ),
        .target(
            name: "Monitor",
            dependencies: ["Checks", "Store", "EventLoop", "Health", "Vocabulary"],
            swiftSettings: settings
        ),
        .target(
            name: "Proxy",
            dependencies: ["Store", "EventLoop", "HTTP1", "Health", "Vocabulary"],
            swiftSettings: settings
        ),
        .target(
            name: "AgentCheck",
            dependencies: ["Store", "EventLoop", "Health", "Vocabulary"],
            swiftSettings: settings
        ),
        .target(
            name: "Settings",
            dependencies: [
                "AgentCheck",
                "Checks", "Health", "Proxy", "Store", "Vocabulary",
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "Admin",
            dependencies: [
                "AgentCheck",
                "Monitor", "Proxy", "Checks", "Store", "EventLoop", "Health", "Vocabulary",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "muster",
            dependencies: [
                "Admin", "AgentCheck", "Settings", "Monitor", "Proxy", "Checks", "DNS", "Redis",
                "Store",
                "EventLoop", "Health", "HTTP1", "Vocabulary",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
    ]
)
