// What one event takes in allocations and instructions, by stage, and the thresholds of both. Counts do not depend on how
// busy or how fast a machine is, so CI can judge them.

import Foundation

/// Measured on a steady state, by stage; each stage includes those before it.
public struct Counts: Codable, Sendable, Hashable {
  /// Blocks that the engine's thread asks for in a thousand events.
  public var mallocsPer1000Events: [String: Double] = [:]
  /// nil where valgrind is missing.
  public var instructionsPerEvent: [String: Double]?

  public init() {}

  public init(json: Data) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Counts.self, from: json)
  }

  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return try encoder.encode(self) + Data([10])
  }
}

/// What a comparison has found of one figure.
public struct CountFinding: Sendable, Hashable {
  public enum Verdict: Sendable, Hashable {
    case fits
    /// Above the threshold: somebody has made an event cost more.
    case exceeds
    /// So far below that the threshold guards nothing any more.
    case isLoose
    case hasNoThreshold
  }
  public var what: String
  public var measured: Double
  public var threshold: Double?
  public var verdict: Verdict
}

extension Counts {
  /// Instructions differ a little between versions of the compiler and the libraries.
  public static let instructionTolerance = 1.03
  /// A table that grows by chance in the measured part.
  public static let mallocTolerance = 2.0

  /// Compares with thresholds; what was not measured is not judged.
  public func findings(against thresholds: Counts) -> [CountFinding] {
    var all: [CountFinding] = []
    for (stage, value) in mallocsPer1000Events.sorted(by: { $0.key < $1.key }) {
      let threshold = thresholds.mallocsPer1000Events[stage]
      all.append(
        finding("mallocs per 1000 events, \(stage)", value, threshold) {
          value > $0 + Self.mallocTolerance ? .exceeds : value < 0.9 * $0 - Self.mallocTolerance ? .isLoose : .fits
        })
    }
    for (stage, value) in (instructionsPerEvent ?? [:]).sorted(by: { $0.key < $1.key }) {
      let threshold = thresholds.instructionsPerEvent?[stage]
      all.append(
        finding("instructions per event, \(stage)", value, threshold) {
          value > $0 * Self.instructionTolerance ? .exceeds : value < 0.9 * $0 ? .isLoose : .fits
        })
    }
    return all
  }

  private func finding(
    _ what: String, _ measured: Double, _ threshold: Double?, _ judge: (Double) -> CountFinding.Verdict
  ) -> CountFinding {
    CountFinding(
      what: what, measured: measured, threshold: threshold, verdict: threshold.map(judge) ?? .hasNoThreshold)
  }
}

/// Instructions by stage and by module: the map for whoever makes it faster next.
public struct InstructionTable: Codable, Sendable {
  /// Of the code that was measured.
  public var commit: String
  /// By stage, of one event; each includes those before it.
  public var stages: [String: Double]
  /// Of the last stage, in the functions that executed them.
  public var modules: [String: Double]

  public init(commit: String, stages: [String: Double], modules: [String: Double]) {
    self.commit = commit
    self.stages = stages
    self.modules = modules
  }

  public init(json: Data) throws { self = try JSONDecoder().decode(InstructionTable.self, from: json) }

  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self) + Data([10])
  }

  /// A table for the documentation, beside an older measurement where there is one.
  public func markdown(before: InstructionTable?) -> String {
    let hasBefore = before != nil && before?.commit != commit
    let older = hasBefore ? before : nil
    var text = "| one event | " + (older.map { "instructions at \($0.commit) | " } ?? "") + "at \(commit) |\n"
    text += older == nil ? "| --- | ---: |\n" : "| --- | ---: | ---: |\n"
    func row(_ name: String, _ values: [Double?]) {
      text += "| \(name) | " + values.map { $0.map(quantity) ?? "" }.joined(separator: " | ") + " |\n"
    }
    func both(_ name: String, _ value: (InstructionTable) -> Double?) {
      row(name, (older.map { [value($0)] } ?? []) + [value(self)])
    }
    func difference(_ table: InstructionTable, _ stage: EngineStage, _ earlier: EngineStage) -> Double? {
      guard let more = table.stages[stage.rawValue], let less = table.stages[earlier.rawValue] else { return nil }
      return more - less
    }
    both("parse and clean") { $0.stages[EngineStage.parse.rawValue] }
    both("customer's record") { difference($0, .state, .parse) }
    both("five reference tags, with outputs") { difference($0, .fiveTags, .state) }
    both("default rules, model, alerts, with outputs") { difference($0, .rules, .state) }
    both("**all, default rules**") { $0.stages[EngineStage.rules.rawValue] }
    let names = Set(modules.keys).union(older?.modules.keys ?? [:].keys)
    let ordered = names.sorted { a, b in
      let (x, y) = (modules[a] ?? 0, modules[b] ?? 0)
      return x == y ? a < b : x > y
    }
    for name in ordered where (modules[name] ?? 0) >= 1 || (older?.modules[name] ?? 0) >= 1 {
      both("&nbsp;&nbsp;of which in \(name)") { $0.modules[name] }
    }
    return text
  }
}
