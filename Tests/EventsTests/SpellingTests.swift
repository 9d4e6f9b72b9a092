// One spelling for what records say and what rules name, by Unicode: of every character there is.

import Events
import Testing

@Suite struct SpellingTests {
  @Test(arguments: [
    ("  Beauty/Skin\t", "beauty/skin"), ("Москва", "москва"), ("\u{3000}上海\u{3000}", "上海"), ("ＡＢＣ", "ａｂｃ"),
    ("\u{a0}École ", "école"), ("上海", "上海"), ("\u{1}a\u{7f}", "a\u{7f}"), (" \u{2003} ", ""),
    // Its lower case takes more bytes.
    ("İZMİR ÇEŞME", "İzmİr çeşme"), ("ΒΌΛΟΣ", "βόλοσ"), ("Βόλος", "βόλοσ"),
  ])
  func spells(text: String, expected: String) throws {
    #expect(Spelling.standardised(text).unicodeScalars.elementsEqual(expected.unicodeScalars))
    var decoder = EventDecoder(format: .native, limits: DecodeLimits(), currencies: try testCurrencies())
    let escaped = text.replacing("\t", with: "\\t").replacing("\u{1}", with: "\\u0001")
    let event = decoder.decode(
      #"{"type":"login","customer":"c","ts":1772368496123,"category":"\#(escaped)","region":"\#(escaped)"}"#)
    #expect(event.reason == nil)
    #expect(event.category.unicodeScalars.elementsEqual(expected.unicodeScalars))
  }

  @Test("a record and a rule spell every character alike, inside a text and at its ends") func everyCharacter() throws {
    var decoder = EventDecoder(format: .native, limits: DecodeLimits(), currencies: try testCurrencies())
    var wrong: [String] = []
    for value in UInt32(0x20)...0x10_FFFF {
      guard let scalar = Unicode.Scalar(value), scalar != "\"", scalar != "\\" else { continue }
      if value >= 0x2_0000, value < 0xE_0000, value % 251 != 0 { continue }
      let (inside, outside) = ("Ab\(scalar)Cd", "\(scalar)Ab\(scalar)")
      let event = decoder.decode(
        #"{"type":"login","customer":"c","ts":1772368496123,"category":"\#(inside)","channel":"\#(outside)"}"#)
      let isSame =
        event.category.utf8.elementsEqual(Spelling.standardised(inside).utf8)
        && event.channel.utf8.elementsEqual(Spelling.standardised(outside).utf8)
      if !isSame { wrong.append("U+\(String(value, radix: 16)): \(event.category) \(event.channel)") }
      if value % 4_096 == 0 { decoder.reset() }
    }
    #expect(wrong == [])
  }
}
