// The JSON of tag changes and churn alerts. Their schemas stand in config/schemas.

import CXXHash
import Customers
import Events
import Rules

/// The 128-bit XXH3 of a customer id in hex: the stable part of every output id.
struct CustomerKey {
  let hash: tw_hash128
  init(id: UnsafeRawBufferPointer) { hash = tw_xxh3_128(id.baseAddress, id.count) }

  func append(to bytes: inout [UInt8]) {
    bytes.appendHex(hash.high)
    bytes.appendHex(hash.low)
  }
}

/// A tag's value before or after a change.
enum TagValue {
  case unset
  case flag
  case name([UInt8])

  func write(to json: inout JSONWriter) {
    switch self {
    case .unset: json.null()
    case .flag: json.bool(true)
    case .name(let name): json.string(name)
    }
  }
}

extension OutputBuffer {
  /// Appends one record: `value` writes its JSON, `id` its CloudEvents id.
  mutating func append(
    _ topic: OutputTopic, key: UnsafeRawBufferPointer, emittedAt: Instant, id: (inout [UInt8]) -> Void,
    value: (inout JSONWriter) -> Void
  ) {
    let keyStart = bytes.count
    bytes.append(contentsOf: key)
    let idStart = bytes.count
    id(&bytes)
    let valueStart = bytes.count
    var json = JSONWriter(reusing: exchange(&bytes, with: []))
    value(&json)
    bytes = json.bytes
    entries.append(
      Entry(
        topic: topic, key: keyStart..<idStart, id: idStart..<valueStart, value: valueStart..<bytes.count,
        emittedAt: emittedAt))
  }
}

func exchange<T>(_ place: inout T, with new: T) -> T {
  let old = place
  place = new
  return old
}

/// One tag change, ready to be written.
struct TagChange {
  var name: [UInt8]
  var layer: RuleLayer
  var revision: Int32
  /// The features that decided.
  var features: [Feature]
  var old: TagValue
  var new: TagValue
  var late: Bool
  var cause: Cause
  // Filled in when it is emitted.
  var sequence: UInt32 = 0
  var effectiveAt = Instant.distantPast
  var emittedAt = Instant.distantPast
  var backfill = false

  func write(to output: inout OutputBuffer, view: EngineView, context: EngineContext) {
    let customer = view.customer.record.id
    let sequence = Int64(sequence)
    output.append(.tagChanges, key: customer, emittedAt: emittedAt) { id in
      id.append(contentsOf: [UInt8(ascii: "t"), UInt8(ascii: "-")])
      CustomerKey(id: customer).append(to: &id)
      id.append(UInt8(ascii: "-"))
      id.appendDecimal(sequence)
    } value: { json in
      json.beginObject()
      json.key("customer")
      json.string(customer)
      json.key("tag")
      json.string(name)
      json.key("layer")
      json.string(layer.rawValue)
      json.key("op")
      switch (old, new) {
      case (.unset, _): json.string("set")
      case (_, .unset): json.string("unset")
      default: json.string("change")
      }
      json.key("old")
      old.write(to: &json)
      json.key("new")
      new.write(to: &json)
      json.key("effective_at")
      json.instant(effectiveAt)
      json.key("emitted_at")
      json.instant(emittedAt)
      json.key("sequence")
      json.integer(sequence)
      json.key("revision")
      json.integer(Int64(revision))
      if late {
        json.key("late")
        json.bool(true)
      }
      json.key("cause")
      cause.write(to: &json, topicNames: context.settings.topicNames, backfill: backfill)
      json.key("values")
      json.beginObject()
      for feature in features { json.feature(feature, view: view, context: context) }
      json.endObject()
      json.endObject()
    }
  }
}

extension JSONWriter {
  /// `"orders.count(90d)": 3`
  mutating func feature(_ feature: Feature, view: EngineView, context: EngineContext) {
    key(feature.name.utf8)
    switch feature.type {
    case .text:
      let name = view.customer.name(feature)
      if name.isEmpty { null() } else { string(name) }
    case .money:
      let value = view.number(feature)
      if value.isNaN {
        null()
      } else if value == value.rounded(), value.magnitude < 9e15 {
        money(minor: Int64(value), exponent: context.settings.currencyExponent)
      } else {
        var scale = 1.0
        for _ in 0..<context.settings.currencyExponent { scale *= 10 }
        double(value / scale)
      }
    default: double(view.number(feature))
    }
  }
}
