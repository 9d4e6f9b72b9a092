// Why a record is not applied: one enum for the whole project. Codes are written to dead letters and metrics, so they
// are a contract: add cases, never rename or reuse one. The table for people is in Events.docc/RejectReasons.md.

/// The reason a record became a dead letter. The raw value is the stable code.
public enum RejectReason: String, Error, CaseIterable, Sendable {
  // The record as a whole.
  case recordEmpty = "record_empty"
  case recordTooLarge = "record_too_large"
  case malformedJSON = "malformed_json"
  case invalidUTF8 = "invalid_utf8"
  case notAnObject = "not_an_object"
  case duplicateField = "duplicate_field"
  case tooDeep = "too_deep"
  case tooManyFields = "too_many_fields"
  // Who.
  case missingCustomer = "missing_customer"
  case badCustomer = "bad_customer"
  case customerTooLong = "customer_too_long"
  // What.
  case missingType = "missing_type"
  case badType = "bad_type"
  case missingReference = "missing_reference"
  // When.
  case missingTimestamp = "missing_timestamp"
  case badTimestamp = "bad_timestamp"
  case timestampInFuture = "timestamp_in_future"
  case timestampTooOld = "timestamp_too_old"
  // Orders and money.
  case missingOrder = "missing_order"
  case missingAmount = "missing_amount"
  case badAmount = "bad_amount"
  case amountNegative = "amount_negative"
  case amountTooLarge = "amount_too_large"
  case missingCurrency = "missing_currency"
  case unknownCurrency = "unknown_currency"
  case badQuantity = "bad_quantity"
  case badDiscount = "bad_discount"
  // Other fields.
  case badField = "bad_field"
  case fieldTooLong = "field_too_long"
  case badProfileField = "bad_profile_field"
  // The Kafka record around the event.
  case keyMissing = "key_missing"
  case keyMismatch = "key_mismatch"
  case wrongPartition = "wrong_partition"
  // Found later than decoding.
  case tooLate = "too_late"
  case skipped = "skipped"

  /// What happened and what to do about it, for the person who reads the dead letter.
  public var message: String {
    switch self {
    case .recordEmpty: "The record has no value. Send one JSON object a record; deletions are not events."
    case .recordTooLarge: "The record is longer than limits.record_bytes. Send less per event, or raise the limit."
    case .malformedJSON: "The value is not valid JSON. Check that the producer writes one whole JSON object."
    case .invalidUTF8: "The value is not valid UTF-8. Encode text as UTF-8 before sending."
    case .notAnObject: "The value is JSON but not an object. Send one {...} a record, not an array or a bare value."
    case .duplicateField: "A field occurs twice in one object, so its value is unclear. Send each field once."
    case .tooDeep: "Objects are nested deeper than limits.depth. Flatten the event, or raise the limit."
    case .tooManyFields: "The event has more values than limits.fields. Send less per event, or raise the limit."
    case .missingCustomer: "The event names no customer. Set the customer id (native: customer; Segment: userId)."
    case .badCustomer: "The customer id is neither text nor a whole number. Send it as a string."
    case .customerTooLong: "The customer id is longer than limits.customer_id_bytes. Send a shorter id."
    case .missingType: "The event has no type. Set type (Segment: type, and event for track)."
    case .badType: "The event's type is neither text nor a number. Send type as a string such as order_paid."
    case .missingReference: "identity_link needs other, and alert_ack needs alert_id. Send the id it refers to."
    case .missingTimestamp: "The event has no time. Set ts (Segment: timestamp or originalTimestamp)."
    case .badTimestamp:
      "The time is neither RFC 3339 with an offset (2026-03-01T12:34:56Z) nor whole epoch milliseconds. Correct it."
    case .timestampInFuture: "The event is later than its record by more than limits.future. Set the producer's clock."
    case .timestampTooOld:
      "The event is older than limits.oldest. Check the unit: numbers are milliseconds, not seconds."
    case .missingOrder: "An order event has no order id. Set order (Segment: properties.order_id)."
    case .missingAmount: "A paid order or an unlinked refund has no amount. Set amount (Segment: properties.total)."
    case .badAmount: "The amount is not a decimal number. Send 123.45 or \"123.45\", without signs or separators."
    case .amountNegative: "The amount is negative. Send refunds as order_refunded with a positive amount."
    case .amountTooLarge: "The amount exceeds 10^13 minor units. Check the unit and the currency."
    case .missingCurrency: "The amount has no currency and currency.default is not set. Set one of them."
    case .unknownCurrency:
      "The currency has no rate in currency.rates. Add it to the configuration or correct the code."
    case .badQuantity: "The quantity is not a whole number from 0 to limits.quantity. Correct it, or raise the limit."
    case .badDiscount: "The discount is not a decimal number from 0 to 10^13 minor units. Correct it."
    case .badField: "A text field holds another kind of value. Send order, category, product, channel, ... as strings."
    case .fieldTooLong: "A text field is longer than limits.text_bytes. Shorten it, or raise the limit."
    case .badProfileField:
      "birth_date is not a past date (YYYY-MM-DD), gender is not a known word, or region or occupation is not text."
    case .keyMissing: "The record has no key. Produce events keyed by customer id."
    case .keyMismatch: "The record's key differs from the customer in its body. Produce events keyed by customer id."
    case .wrongPartition:
      "The key does not belong to this partition. Use one partitioner, and set it as the topic's partitioner."
    case .tooLate:
      "The event is older than the lateness horizon. Raise lateness, or load history before the daemon first reads the topic."
    case .skipped: "An operator skipped this record. Nothing to do."
    }
  }
}
