// All figures of a run, with what they depend on, as the JSON file holds them.

import Foundation

/// The machine that was measured.
public struct Machine: Codable, Sendable, Hashable {
  public var cpu: String
  public var cores: Int
  public var memoryBytes: Int
  public var kernel: String
  /// Mean number of busy processes when the run began: figures of a loaded machine say little.
  public var loadAtStart: Double

  public init(cpu: String, cores: Int, memoryBytes: Int, kernel: String, loadAtStart: Double) {
    self.cpu = cpu
    self.cores = cores
    self.memoryBytes = memoryBytes
    self.kernel = kernel
    self.loadAtStart = loadAtStart
  }
}

/// What was built and linked.
public struct Versions: Codable, Sendable, Hashable {
  public var commit: String
  public var swift: String
  public var librdkafka: String
  public var simdjson: String

  public init(commit: String, swift: String, librdkafka: String, simdjson: String) {
    self.commit = commit
    self.swift = swift
    self.librdkafka = librdkafka
    self.simdjson = simdjson
  }
}

/// How much was measured.
public struct Workload: Codable, Sendable, Hashable {
  public var events: Int
  public var customers: Int
  public var seed: UInt64
  public var partitions: Int
  public var runs: Int
  /// The broker: `embedded`, or `kafka` for one that was given.
  public var broker: String

  public init(events: Int, customers: Int, seed: UInt64, partitions: Int, runs: Int, broker: String) {
    self.events = events
    self.customers = customers
    self.seed = seed
    self.partitions = partitions
    self.runs = runs
    self.broker = broker
  }
}

/// What `make bench` writes.
public struct BenchmarkReport: Codable, Sendable {
  public static let currentSchema = 1
  public var schema = currentSchema
  /// RFC 3339.
  public var takenAt: String
  public var machine: Machine
  public var versions: Versions
  public var workload: Workload
  /// What makes these figures not comparable to others, in sentences.
  public var warnings: [String] = []
  public var figures: [Figure] = []

  public init(takenAt: String, machine: Machine, versions: Versions, workload: Workload) {
    self.takenAt = takenAt
    self.machine = machine
    self.versions = versions
    self.workload = workload
  }

  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try encoder.encode(self) + Data([10])
  }

  /// - Throws: `DecodingError` when the text is not a report of this schema.
  public init(json: Data) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    self = try decoder.decode(BenchmarkReport.self, from: json)
    guard schema == Self.currentSchema else {
      throw BenchmarkError("the report has schema \(schema), this program reads \(Self.currentSchema): measure again")
    }
  }
}

/// A part that could not be measured.
public struct BenchmarkError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
