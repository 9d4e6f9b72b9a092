// The JSON of tag changes. Its schema stands in config/schemas, with those of the other outputs.

import CXXHash
import Customers
import Events
import Rules

/// The 128-bit XXH3 of a customer id in hex: the stable part of every output id.
struct CustomerKey {
  let hash: tw_hash128
  init(id: UnsafeRawBufferPointer) { hash = tw_xxh3_128(id.baseAddress, id.count) }

  func write(to json: inout JSONWriter) {
    json.hex(hash.high)
    json.hex(hash.low)
  }
}

/// A tag's value before or after a change.
enum TagValue {
  case unset
  case flag
  /// In `RuleTexts.cases`.
  case named(Int32)
  case gender(Gender)
  case symbol(Customers.Symbol)

  /// - Parameter stored: what the record has for the tag.
  init(_ stored: UInt32, of values: RuleFacts.Values) {
    self =
      if stored == 0 {
        .unset
      } else {
        switch values {
        case .flag: .flag
        case .cases(let first, let count): .named(first + min(Int32(clamping: stored), count) - 1)
        case .gender: Gender(rawValue: UInt8(truncatingIfNeeded: stored)).map { .gender($0) } ?? .unset
        case .symbol: .symbol(Symbol(number: stored))
        }
      }
  }

  var isUnset: Bool {
    if case .unset = self { true } else { false }
  }

  func write(to json: inout JSONWriter, texts: RuleTexts, symbols: borrowing SymbolTable) {
    switch self {
    case .unset: json.literal("null")
    case .flag: json.literal("true")
    case .named(let number): json.literal(texts.cases[Int(number)], of: texts)
    case .gender(let gender): json.string(gender.name)
    case .symbol(let symbol): symbols.withName(of: symbol) { json.string($0) }
    }
  }

  /// The name alone, for a digest.
  func appendName(to bytes: inout [UInt8], texts: RuleTexts, symbols: borrowing SymbolTable) {
    switch self {
    case .unset: break
    case .flag: bytes.append(1)
    case .named(let number):
      let range = texts.cases[Int(number)]
      bytes.append(contentsOf: texts.bytes[Int(range.start) + 1..<Int(range.start + range.count) - 1])
    case .gender(let gender): bytes.append(contentsOf: gender.name.utf8)
    case .symbol(let symbol): symbols.withName(of: symbol) { bytes.append(contentsOf: $0) }
    }
  }
}

extension OutputBuffer {
  /// Appends one record: `value` writes its JSON, and then `id` its CloudEvents id, which may go by those bytes of the writer.
  @inline(__always)
  mutating func append(
    _ topic: OutputTopic, key: UnsafeRawBufferPointer, emittedAt: Instant, json: inout JSONWriter,
    id: (inout JSONWriter, _ value: Range<Int>) -> Void, value: (inout JSONWriter) -> Void
  ) {
    json.removeAll()
    key.withMemoryRebound(to: UInt8.self) { json.literal($0) }
    let keyEnd = json.count
    json.beginRecord()
    value(&json)
    let valueEnd = json.count
    id(&json, keyEnd..<valueEnd)
    let start = bytes.count
    bytes.append(contentsOf: json.bytes)
    entries.append(
      Entry(
        topic: topic, key: start..<start + keyEnd, id: start + valueEnd..<bytes.count,
        value: start + keyEnd..<start + valueEnd, emittedAt: emittedAt))
  }
}

/// One tag change, but for what its occasion says. Flat: nothing is retained on its way.
struct TagChange {
  /// Of the rule, in the texts given beside it.
  var facts: RuleFacts
  var old: TagValue
  var new: TagValue

  func write(
    to output: inout OutputBuffer, json: inout JSONWriter, occasion: borrowing OccasionTexts, sequence: UInt32,
    emittedAt: Instant, texts: RuleTexts, symbols: UnsafePointer<SymbolTable>, view: EngineView, context: EngineContext
  ) {
    let sequence = Int64(sequence)
    output.append(.tagChanges, key: view.customer.record.id, emittedAt: emittedAt, json: &json) { json, _ in
      occasion.id(to: &json)
      json.decimal(sequence)
    } value: { json in
      occasion.customer(to: &json)
      json.literal(facts.head, of: texts)
      switch (old.isUnset, new.isUnset) {
      case (true, _): json.literal("\"set\",\"old\":")
      case (_, true): json.literal("\"unset\",\"old\":")
      default: json.literal("\"change\",\"old\":")
      }
      old.write(to: &json, texts: texts, symbols: symbols.pointee)
      json.literal(",\"new\":")
      new.write(to: &json, texts: texts, symbols: symbols.pointee)
      occasion.instants(to: &json)
      json.decimal(sequence)
      json.literal(facts.revision, of: texts)
      occasion.cause(to: &json)
      for place in 0..<Int(facts.featureCount) {
        if place > 0 { json.literal(",") }
        let deciding = texts.features[Int(facts.firstFeature) + place]
        json.literal(deciding.key, of: texts)
        json.value(deciding, view: view, context: context)
      }
      json.literal("}}")
    }
  }
}

extension JSONWriter {
  /// `"orders.count(90d)":3`, with a comma before it where one is due; nothing when the feature has no value.
  mutating func elementIfDefined(_ deciding: DecidingFeature, view: EngineView, context: EngineContext) {
    if deciding.isText {
      view.customer.withName(deciding.feature) { name in
        if name.isEmpty { return }
        separate()
        literal(deciding.key, of: context.texts)
        string(name)
      }
      return
    }
    let number = view.number(deciding.feature)
    if number.isNaN { return }
    separate()
    literal(deciding.key, of: context.texts)
    self.number(number, deciding.form, context: context)
  }

  /// What a feature is in a view; null when it has no value.
  mutating func value(_ deciding: DecidingFeature, view: EngineView, context: EngineContext) {
    if deciding.isText {
      let isPresent = view.customer.withName(deciding.feature) { name in
        if name.isEmpty { return false }
        string(name)
        return true
      }
      if !isPresent { null() }
    } else {
      number(view.number(deciding.feature), deciding.form, context: context)
    }
  }

  private mutating func number(_ number: Double, _ form: NumberForm, context: EngineContext) {
    switch form {
    case .exact: double(number)
    case .rounded: rounded(number)
    case .money: money(number, context: context)
    }
  }

  private mutating func money(_ number: Double, context: EngineContext) {
    if number.isNaN {
      null()
    } else if number == number.rounded(), number.magnitude < 9e15 {
      money(minor: Int64(number), exponent: context.settings.currencyExponent)
    } else {
      var scale = 1.0
      for _ in 0..<context.settings.currencyExponent { scale *= 10 }
      double(number / scale)
    }
  }
}
