// Profile attributes in the few spellings that rules can be written against.

import CSimdJSON
import Glibc

extension ScannedDocument {
  /// Words for a gender, lower case. Those that say "not known" leave it absent.
  static let genders: [(words: [String], gender: Gender?)] = [
    (["f", "female", "w", "woman", "女", "女士", "女性"], .female),
    (["m", "male", "man", "男", "男士", "男性"], .male),
    (["o", "x", "other", "d", "diverse", "nonbinary", "non-binary", "non binary", "其他"], .other),
    (["", "u", "unknown", "undisclosed", "prefer not to say", "n/a", "none", "not specified", "未知", "保密"], nil),
  ]

  /// `birth_date` as YYYY-MM-DD, or a date-time whose first ten characters are; not after the event.
  func birthDate(_ node: Node?, at time: Instant) throws(RejectReason) -> LocalDay? {
    guard let node else { return nil }
    var text = slice(node).buffer
    guard isKind(node, TW_JSON_STRING) else { throw .badProfileField }
    if text.isEmpty { return nil }
    if text.count > 10 {
      guard Instant(rfc3339: text) != nil else { throw .badProfileField }
      text = UnsafeBufferPointer(rebasing: text[..<10])
    }
    // A day more than UTC's, for zones ahead of it. Nobody is older than 150 years.
    guard let day = LocalDay(isoDate: text), day.number <= time.utcDay.number + 1, day.age(on: time.utcDay) <= 150
    else {
      throw .badProfileField
    }
    return day
  }

  func gender(_ node: Node?) throws(RejectReason) -> Gender? {
    let word = try cleaned(node, wrong: .badProfileField)
    for (words, gender) in ScannedDocument.genders where words.contains(where: { word.equals($0) }) { return gender }
    throw .badProfileField
  }

  /// Region or occupation, in the spelling of `Spelling`.
  func attribute(_ node: Node?) throws(RejectReason) -> ByteSlice { try cleaned(node, wrong: .badProfileField) }
}

extension Instant {
  /// The day in UTC.
  var utcDay: LocalDay { LocalDay(number: Int32(clamping: floorDivide(microseconds, 86_400_000_000))) }
}

extension ByteSlice {
  func equals(_ text: String) -> Bool { text.utf8.count == count && buffer.elementsEqual(text.utf8) }

  func equals(_ other: UnsafeRawBufferPointer) -> Bool {
    guard other.count == count else { return false }
    guard let own = buffer.baseAddress, let other = other.baseAddress else { return true }
    return memcmp(own, other, count) == 0
  }
}
