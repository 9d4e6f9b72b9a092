// Files that people write, and the text in the commit metadata.

import Checkpoint
import Configuration
import Rules

enum TextChecks {
  static func rules(_ bytes: [UInt8]) throws(FuzzFinding) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    do {
      let rules = try RuleSet(text: text, file: "fuzz.yaml", exponent: 2)
      let again = try RuleSet(text: text, file: "other.yaml", exponent: 2)
      try require(rules.fingerprint == again.fingerprint && rules.count == again.count, "compiled again, it is another")
    } catch let error as RuleFileError {
      try require(!error.problems.isEmpty, "refused without a problem")
      for problem in error.problems { try require(!problem.message.isEmpty, "a problem without a message") }
    } catch let finding as FuzzFinding { throw finding } catch { throw FuzzFinding("\(error)") }
  }

  static func configuration(_ bytes: [UInt8]) throws(FuzzFinding) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    do {
      _ = try Configuration.load(text: text, file: "fuzz.yaml")
    } catch { try require(!"\(error)".isEmpty, "refused without a message") }
  }

  static func tag(_ bytes: [UInt8]) throws(FuzzFinding) {
    guard let text = String(validating: bytes, as: UTF8.self), let tag = EpochTag(text) else { return }
    try require(tag.description == text, "\(text) reads as \(tag)")
  }
}
