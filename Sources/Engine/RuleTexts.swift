// What tag changes say that follows from the rules alone, as JSON, written once.

import Customers
import Events
import Rules

/// A run of bytes in `RuleTexts.bytes`.
struct TextRange {
  var start: Int32 = 0
  var count: Int32 = 0
}

/// A feature that decided.
struct DecidingFeature {
  var feature: Feature
  var isText: Bool
  var form: NumberForm
  /// `"orders.count(90d)":`
  var key: TextRange
}

/// How a feature's number is written.
enum NumberForm {
  case exact
  /// From minor units.
  case money
  /// It comes from the C library's functions: six decimals, see `JSONWriter.rounded`.
  case rounded

  init(_ feature: Feature) {
    switch feature {
    case _ where feature.type == .money: self = .money
    case .churnProbability, .lostProbability, .topCategoryShare, .topChannelShare, .categoryWeight, .channelWeight:
      self = .rounded
    default: self = .exact
    }
  }
}

/// What a rule's tag changes look like, and how its stored values are to be read: flat, so that reading it retains nothing.
struct RuleFacts {
  enum Values {
    case flag
    /// The names of the cases as JSON strings, in `RuleTexts.cases` from here on.
    case cases(first: Int32, count: Int32)
    case gender
    case symbol
  }
  var values: Values
  var shadow: Bool
  /// `"value.high":`
  var key: TextRange
  /// `,"tag":"value.high","layer":"value","op":`
  var head: TextRange
  /// `,"revision":1`
  var revision: TextRange
  /// In `RuleTexts.features`.
  var firstFeature: Int32
  var featureCount: Int32
}

/// In raw memory of its own: read for every change, without counting a reference.
final class RuleTexts {
  /// With padding behind them.
  let bytes: UnsafeBufferPointer<UInt8>
  let cases: UnsafeBufferPointer<TextRange>
  let features: UnsafeBufferPointer<DecidingFeature>
  let facts: UnsafeBufferPointer<RuleFacts>
  /// What a profile shows.
  let profile: UnsafeBufferPointer<DecidingFeature>
  /// By number of the event type: `"page_view":{"1d":`
  let recentEvents: UnsafeBufferPointer<TextRange>

  /// - Parameter profile: the features that profiles show.
  convenience init(_ rules: [Rule], profile: [Feature]) {
    self.init(RuleTextsBuilder(rules, profile: profile))
  }

  /// For a tag that the rules no longer know: its head, revision and the name of its value.
  convenience init(removed slot: TagSlot, caseName: String) {
    self.init(RuleTextsBuilder(removed: slot, caseName: caseName))
  }

  private init(_ built: RuleTextsBuilder) {
    bytes = UnsafeBufferPointer(copying: built.bytes + [UInt8](repeating: 0, count: JSONWriter.padding))
    cases = UnsafeBufferPointer(copying: built.cases)
    features = UnsafeBufferPointer(copying: built.features)
    facts = UnsafeBufferPointer(copying: built.facts)
    profile = UnsafeBufferPointer(copying: built.profile)
    recentEvents = UnsafeBufferPointer(copying: built.recentEvents)
  }

  deinit {
    bytes.deallocate()
    cases.deallocate()
    features.deallocate()
    facts.deallocate()
    profile.deallocate()
    recentEvents.deallocate()
  }
}

extension UnsafeBufferPointer {
  /// A list in raw memory, which the caller deallocates. Its elements need no deinitialising.
  init(copying list: some Collection<Element>) {
    let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: list.count)
    _ = memory.initialize(fromContentsOf: list)
    self.init(memory)
  }
}

private struct RuleTextsBuilder {
  var bytes: [UInt8] = []
  var cases: [TextRange] = []
  var features: [DecidingFeature] = []
  var facts: [RuleFacts] = []
  var profile: [DecidingFeature] = []
  var recentEvents: [TextRange] = []

  init(_ rules: [Rule], profile: [Feature]) {
    self.profile = profile.map { deciding($0) }
    recentEvents = [TextRange](repeating: TextRange(), count: 256)
    for type in EventType.allCases {
      recentEvents[Int(type.rawValue)] = add(string: type.name, then: ":{\"1d\":")
    }
    for rule in rules {
      let values: RuleFacts.Values
      switch rule.kind {
      case .flag: values = .flag
      case .cases(let names):
        values = .cases(first: Int32(cases.count), count: Int32(names.count))
        for name in names { cases.append(add(string: name)) }
      case .text(.gender): values = .gender
      case .text: values = .symbol
      }
      let first = features.count
      for feature in rule.features { features.append(deciding(feature)) }
      facts.append(
        RuleFacts(
          values: values, shadow: rule.shadow, key: add(string: rule.name, then: ":"),
          head: addHead(name: rule.name, layer: rule.layer), revision: addRevision(rule.revision),
          firstFeature: Int32(first), featureCount: Int32(rule.features.count)))
    }
  }

  /// For a tag that the rules no longer know: its head, revision and the name of its value.
  init(removed slot: TagSlot, caseName: String) {
    facts = [
      RuleFacts(
        values: .flag, shadow: slot.shadow, key: add(string: slot.name, then: ":"),
        head: addHead(name: slot.name, layer: slot.layer),
        revision: addRevision(slot.revision), firstFeature: 0, featureCount: 0)
    ]
    cases = [add(string: caseName)]
  }

  private mutating func deciding(_ feature: Feature) -> DecidingFeature {
    DecidingFeature(
      feature: feature, isText: feature.type == .text, form: NumberForm(feature),
      key: add(string: feature.name, then: ":"))
  }

  private mutating func addHead(name: String, layer: RuleLayer) -> TextRange {
    var json = JSONWriter()
    json.literal(",\"tag\":")
    json.string(name)
    json.literal(",\"layer\":")
    json.string(layer.rawValue)
    json.literal(",\"op\":")
    return add(json.bytes)
  }

  private mutating func addRevision(_ revision: Int32) -> TextRange {
    var json = JSONWriter()
    json.literal(",\"revision\":")
    json.decimal(Int64(revision))
    return add(json.bytes)
  }

  private mutating func add(string: String, then end: StaticString = "") -> TextRange {
    var json = JSONWriter()
    json.string(string)
    json.literal(end)
    return add(json.bytes)
  }

  private mutating func add(_ text: UnsafeBufferPointer<UInt8>) -> TextRange {
    let range = TextRange(start: Int32(bytes.count), count: Int32(text.count))
    bytes.append(contentsOf: text)
    return range
  }
}

extension JSONWriter {
  @inline(__always)
  mutating func literal(_ range: TextRange, of texts: RuleTexts) {
    literal(padded: texts.bytes.baseAddress.unsafelyUnwrapped + Int(range.start), count: Int(range.count))
  }
}
