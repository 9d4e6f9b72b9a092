// The one spelling in which categories, channels and profile attributes are kept, and rules name them.

/// Text without white space and control characters around it, in lower case, both by Unicode. Letter by letter, for it is
/// changed in place: one whose lower case takes more bytes, such as the dotted capital I, stays what it is. The small sigma at
/// the end of a word is the one inside it.
public enum Spelling {
  /// For texts outside records.
  public static func standardised(_ text: String) -> String {
    var spelled = String.UnicodeScalarView()
    for scalar in trimmed(text) {
      let lower = scalar == "\u{3c2}" ? "\u{3c3}" : scalar.properties.lowercaseMapping
      if lower.utf8.count <= String(scalar).utf8.count {
        spelled.append(contentsOf: lower.unicodeScalars)
      } else {
        spelled.append(scalar)
      }
    }
    return String(spelled)
  }

  /// Whether bytes of UTF-8, whose ASCII part is in that spelling already, may need more. Scripts without case, such as
  /// Chinese, mostly do not: what they cost counts, for it is paid for every record.
  static func mayDiffer(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    for (index, byte) in bytes.enumerated() where byte >= 0xC2 {
      let second = index + 1 < bytes.count ? bytes[index + 1] : 0
      switch byte {
      case 0xC2...0xDF, 0xE1, 0xE2, 0xEA: return true
      // The ideographic space; full-width letters.
      case 0xE3: if second == 0x80 { return true }
      case 0xEF: if second >= 0xBC { return true }
      // Above them are emoji and more ideographs.
      case 0xF0: if second < 0x9F { return true }
      default: break
      }
    }
    return false
  }

  /// Replaces the text by that spelling of it, which is no longer, and returns how long it is.
  static func standardise(_ bytes: UnsafeMutableBufferPointer<UInt8>) -> Int {
    var text = standardised(String(decoding: bytes, as: UTF8.self))
    return text.withUTF8 { found in
      _ = bytes.update(fromContentsOf: found)
      return found.count
    }
  }

  private static func trimmed(_ text: String) -> Substring.UnicodeScalarView {
    func isOutside(_ scalar: Unicode.Scalar) -> Bool { scalar.value <= 0x20 || scalar.properties.isWhitespace }
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, isOutside(first) { scalars.removeFirst() }
    while let last = scalars.last, isOutside(last) { scalars.removeLast() }
    return scalars
  }
}
