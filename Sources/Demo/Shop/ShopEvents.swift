// What a synthetic shop yields: records in the native format, in the order in which they are sent.

import Events

/// Which topic a record is for.
public enum ShopStream: UInt8, CaseIterable, Sendable {
  case clickstream
  case orders
  case customers

  /// The default topic.
  public var topic: String {
    switch self {
    case .clickstream: "clickstream"
    case .orders: "orders"
    case .customers: "customers"
    }
  }
}

/// What is wrong with a record that is wrong on purpose.
public enum ShopDirt: UInt8, CaseIterable, Sendable {
  /// Cut in the middle.
  case malformed
  case unknownCurrency
  /// Dated three days after it was sent.
  case future
  /// Dated twenty days before it was sent.
  case stale
  case noCustomer
  case noTime
  case noType
  /// The record's key is another customer's.
  case keyMismatch
  /// Sent again, byte for byte: correct, but to be counted once.
  case duplicate
}

/// One record; its bytes are ranges of the batch.
public struct ShopEvent: Sendable {
  /// When it is sent, in shop time (a clean event's own time).
  public var time: Instant
  public var stream: ShopStream
  public var type: EventType
  /// Counted from 0 in the order of arrival.
  public var customer: Int
  public var key: Range<Int>
  /// JSON, without a line end.
  public var value: Range<Int>
  /// nil: clean.
  public var dirt: ShopDirt?
}

/// Records in order of time. Reused: `removeAll` keeps the memory.
public struct ShopBatch: Sendable {
  public var bytes: [UInt8] = []
  public var events: [ShopEvent] = []
  public init() {}
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }
}

/// Customer ids: `c-` and the number, at least six digits.
public enum ShopCustomerID {
  public static func append(_ customer: Int, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "c"))
    bytes.append(UInt8(ascii: "-"))
    bytes.appendNumber(customer, digits: 6)
  }

  /// The number in an id; nil when it is not one of ours.
  public static func number(in id: some Sequence<UInt8>) -> Int? {
    var number = 0
    var position = 0
    for byte in id {
      switch position {
      case 0: if byte != UInt8(ascii: "c") { return nil }
      case 1: if byte != UInt8(ascii: "-") { return nil }
      default:
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), position < 14 else { return nil }
        number = number * 10 + Int(byte - UInt8(ascii: "0"))
      }
      position += 1
    }
    return position > 2 ? number : nil
  }
}
