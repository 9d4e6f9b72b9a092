// swift-tools-version: 6.2
import PackageDescription

// Looking for overlapping accesses to the properties of classes, at each of them, takes a twentieth of the data plane's time.
// Debug builds, and with them the tests, go on doing so.
let unchecked = SwiftSetting.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
// An event goes through four modules; so much of each can be inlined into the next.
let acrossModules = SwiftSetting.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
let settings: [SwiftSetting] =
  [unchecked, acrossModules]
  + (Context.environment["TIDEWATCH_WARNINGS"] == "errors" ? [.treatAllWarnings(as: .error)] : [])

let plantedBugs = Target.Dependency.target(name: "PlantedBugs", condition: .when(traits: ["PlantedBugs"]))

let package = Package(
  name: "tidewatch",
  products: [
    .library(name: "ClockShim", type: .dynamic, targets: ["CClockShim"])
  ],
  traits: [
    .trait(name: "PlantedBugs", description: "Defects to be switched on one by one: does the simulator find them?")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
  ],
  targets: [
    // C shims over system libraries.
    .systemLibrary(name: "CRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "CXXHash"),
    // The daemon's records are made in one thread and let go in others, hundreds of thousands a second: glibc's allocator
    // needs a fifth of all its time for that.
    .target(name: "CAllocator", linkerSettings: [.linkedLibrary("jemalloc")]),
    .target(name: "CSimdJSON", linkerSettings: [.linkedLibrary("simdjson")]),

    // Files that are read, whole or from end to end.
    .target(name: "InputFiles", dependencies: ["CZlib"], swiftSettings: settings),

    // The pure part, each target importing only those above it.
    .target(name: "Events", dependencies: ["CSimdJSON", "CXXHash", "CCrypto"], swiftSettings: settings),
    .target(name: "Customers", dependencies: ["Events", "CXXHash"], swiftSettings: settings),
    .target(name: "Models", dependencies: ["Events", "Customers"], swiftSettings: settings),
    .target(
      name: "Rules",
      dependencies: ["Events", "Customers", "InputFiles", "Models", .product(name: "Yams", package: "Yams")],
      swiftSettings: settings),
    .target(
      name: "Engine", dependencies: ["Events", "Customers", "Models", "Rules", "CXXHash"], swiftSettings: settings),

    // What an operator writes: one annotated YAML file, checked whole before anything starts.
    .target(
      name: "Configuration",
      dependencies: [
        "Events", "Customers", "InputFiles", "Models", "Rules", "Engine", .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: settings),

    // Threads, and the only place where values pass between them.
    .target(name: "Handoff", swiftSettings: settings),

    // The engine over a file.
    .target(
      name: "Replay", dependencies: ["Customers", "Engine", "Events", "Handoff", "InputFiles"], swiftSettings: settings),

    // CSV exports to native events.
    .target(
      name: "Import", dependencies: ["Events", "InputFiles", .product(name: "Yams", package: "Yams")],
      swiftSettings: settings),

    // Defects for the simulator to find; nothing of it is in a normal build.
    .target(name: "PlantedBugs", swiftSettings: settings),

    // The part that touches disk and network.
    .target(name: "Checkpoint", dependencies: ["CXXHash", "CZstd", plantedBugs], swiftSettings: settings),
    .target(name: "CheckpointTesting", dependencies: ["Checkpoint"], swiftSettings: settings),
    .target(name: "Kafka", dependencies: ["CRdKafka"], swiftSettings: settings),

    // The reference workload, made in bytes.
    .target(name: "LoadGenerator", dependencies: ["Events", "Kafka"], swiftSettings: settings),

    // What puts them together and runs.
    .target(
      name: "Daemon",
      dependencies: [
        "Events", "Customers", "Rules", "Engine", "Configuration", "Checkpoint", "Kafka", "Handoff", "CXXHash",
        "CLZ4", plantedBugs,
        .product(name: "FlyingFox", package: "FlyingFox"),
      ],
      swiftSettings: settings),

    // The daemon's threads under one seed, for the simulator and its tests.
    .target(
      name: "Simulation",
      dependencies: [
        "Checkpoint", "CheckpointTesting", "CommandSupport", "Configuration", "Customers", "Daemon", "Engine", "Events",
        "Handoff", "Kafka",
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "tidewatch-simulate",
      dependencies: [
        "CAllocator", "Simulation", "CommandSupport", "Configuration", plantedBugs,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      // The threads of ended runs leave their memory, free, in glibc's arenas: half a gigabyte after some hundred runs.
      swiftSettings: settings),

    // The command line.
    .target(name: "CommandSupport", swiftSettings: settings),
    .target(name: "SchemaTesting", swiftSettings: settings),
    .executableTarget(
      name: "tidewatch",
      dependencies: [
        "CAllocator", "Events", "Customers", "Engine", "Configuration", "Import", "InputFiles", "Replay", "Checkpoint",
        "Demo", "CommandSupport", "Daemon", "Kafka", "LoadGenerator",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    // The synthetic shop and the terminal view of `tidewatch demo`.
    .target(
      name: "Demo", dependencies: ["Events", "Engine", "Configuration", "Kafka", "Daemon"],
      resources: [.embedInCode("tags.yaml")], swiftSettings: settings),

    // `make bench`: what this build takes on this machine.
    .target(
      name: "Benchmarks",
      dependencies: [
        "CRdKafka", "CommandSupport", "Configuration", "Customers", "Engine", "Events", "Handoff", "Kafka",
        "LoadGenerator",
        "Replay", "Rules",
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "tidewatch-bench",
      dependencies: [
        "Benchmarks", "CAllocator", "CommandSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    // `make counts`: allocations and instructions per event, for CI.
    .target(name: "CMallocCount", path: "Tests/Counts/CMallocCount"),
    .executableTarget(
      name: "tidewatch-count",
      dependencies: [
        "Benchmarks", "CMallocCount", "CommandSupport", "LoadGenerator",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/Counts/Driver", swiftSettings: settings),

    .testTarget(name: "EventsTests", dependencies: ["Events"], swiftSettings: settings),
    // A slow, plain second opinion that tests of several targets compare with.
    .target(
      name: "ReferenceTesting", dependencies: ["Events", "Customers"], path: "Tests/ReferenceTesting",
      swiftSettings: settings),
    .testTarget(
      name: "CustomersTests", dependencies: ["Customers", "Events", "ReferenceTesting"], swiftSettings: settings),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "Events"], swiftSettings: settings),
    .testTarget(name: "RulesTests", dependencies: ["Rules"], swiftSettings: settings),
    .testTarget(
      name: "EngineTests",
      dependencies: ["Engine", "Events", "Customers", "Models", "Rules", "ReferenceTesting", "CZlib"],
      swiftSettings: settings),
    .testTarget(
      name: "CheckpointTests", dependencies: ["Checkpoint", "CheckpointTesting", "CXXHash", "CZstd"],
      // Read from the sources: state written by older releases.
      exclude: ["Fixtures"], swiftSettings: settings),
    .testTarget(
      name: "ReplayTests",
      dependencies: [
        "Replay", "Engine", "Events", "Customers", "Models", "Rules", "ReferenceTesting", "CZlib", "InputFiles",
      ],
      swiftSettings: settings),
    .testTarget(name: "InputFilesTests", dependencies: ["InputFiles", "CZlib"], swiftSettings: settings),
    .testTarget(name: "ImportTests", dependencies: ["Import", "InputFiles", "Events"], swiftSettings: settings),
    .testTarget(name: "KafkaTests", dependencies: ["Kafka"], swiftSettings: settings),
    .testTarget(name: "ConfigurationTests", dependencies: ["Configuration", "Events"], swiftSettings: settings),
    .testTarget(name: "DemoTests", dependencies: ["Demo", "Engine", "Events", "Models"], swiftSettings: settings),
    .testTarget(name: "LoadGeneratorTests", dependencies: ["LoadGenerator", "Events"], swiftSettings: settings),
    .testTarget(
      name: "BenchmarkTests", dependencies: ["Benchmarks", "LoadGenerator", "SchemaTesting"], swiftSettings: settings),
    .testTarget(name: "CommandSupportTests", dependencies: ["CommandSupport"], swiftSettings: settings),
    .testTarget(
      name: "SchemaTests", dependencies: ["SchemaTesting", "Customers", "Engine", "Events", "Models", "Rules"],
      swiftSettings: settings),
    .testTarget(
      name: "SimulationTests", dependencies: ["Simulation", "Configuration"], exclude: ["failed-seeds.txt"],
      swiftSettings: settings),
    // What is fuzzed, and the test that runs the kept corpus through it. libFuzzer itself: `make fuzz`.
    .target(
      name: "FuzzChecks",
      dependencies: [
        "Checkpoint", "CheckpointTesting", "Configuration", "Customers", "Daemon", "Engine", "Events", "Rules",
        "CXXHash",
      ], path: "Tests/Fuzz/Checks", swiftSettings: settings),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzChecks"], swiftSettings: settings),
    // Preloaded into the built binary, whose clock a test then sets.
    .target(name: "CClockShim", path: "Tests/Shims/CClockShim", linkerSettings: [.linkedLibrary("dl")]),
    // Runs the built binary as a user would.
    .testTarget(
      name: "DaemonTests",
      dependencies: [
        "Daemon", "Configuration", "Customers", "Engine", "Events", "Checkpoint", "CheckpointTesting", "Handoff",
        "Kafka",
        "ReferenceTesting", "Simulation",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "tidewatch", "Checkpoint", "Configuration", "Customers", "Engine", "Events", "Import", "Kafka",
        "ReferenceTesting",
        "SchemaTesting",
      ],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

if Context.environment["TIDEWATCH_FUZZ"] != nil {
  package.targets += [
    .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
    .executableTarget(
      name: "tidewatch-fuzz", dependencies: ["FuzzChecks", "CFuzzer"], path: "Tests/Fuzz/Driver",
      // gold, the default, fails on the coverage counters.
      swiftSettings: settings, linkerSettings: [.unsafeFlags(["-use-ld=lld"])]),
  ]
}

// A module is compiled again when one that it names has changed, not for those behind it. But the sizes of their types, and
// much of their code, are compiled in: an incremental build would make programs that crash, or worse. So each names all.
for target in package.targets {
  var known = Set<String>()
  var next = [target.name]
  while let name = next.popLast() {
    for case .byNameItem(let needed, _) in package.targets.first(where: { $0.name == name })?.dependencies ?? []
    where package.targets.contains(where: { $0.name == needed && $0.type != .system }) && known.insert(needed).inserted
    {
      next.append(needed)
    }
  }
  for case .byNameItem(let named, _) in target.dependencies { known.remove(named) }
  target.dependencies += known.sorted().map { .byName(name: $0) }
}
