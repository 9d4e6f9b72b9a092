// What `replay --journal` says, held against what was committed: the same records, for each customer in the same order.

import Foundation

struct TortureJournal {
  var directory: String

  func compare(
    tags: [CrashOutput], alerts: [CrashOutput], profiles: [CrashOutput], dead: [CrashOutput],
    _ repeats: CrashExpectation.Repeats
  ) -> CrashVerdict {
    var verdict = CrashVerdict()
    let tagsOnce = verdict.once("tag change", tags, repeats)
    verdict.checkSequences(tagsOnce)
    match("tag change", tagsOnce, "tag-changes", &verdict) { Fields.value("customer", in: $0) }
    match("alert", verdict.once("alert", alerts, repeats), "churn-alerts", &verdict) {
      Fields.value("customer", in: $0)
    }
    match("profile", verdict.once("profile", profiles, repeats), "profiles", &verdict) {
      Fields.value("customer", in: $0)
    }
    match("dead letter", verdict.once("dead letter", dead, repeats), "dead-letters", &verdict) {
      Fields.value("partition", in: $0) + " " + Fields.value("offset", in: $0)
    }
    return verdict
  }

  private func match(
    _ what: String, _ live: [CrashOutput], _ file: String, _ verdict: inout CrashVerdict, by name: (String) -> String
  ) {
    guard let data = FileManager.default.contents(atPath: "\(directory)/\(file).ndjson") else {
      return verdict.say("the replay wrote no \(file).ndjson")
    }
    var expected: [String: [String]] = [:]
    for line in data.split(separator: UInt8(ascii: "\n")) {
      let text = String(decoding: line, as: UTF8.self)
      expected[name(text), default: []].append(text)
    }
    var found: [String: [String]] = [:]
    for output in live { found[name(output.value), default: []].append(output.value) }
    for key in Set(expected.keys).union(found.keys).sorted() {
      let said = found[key] ?? []
      let right = expected[key] ?? []
      if said == right { continue }
      let place = zip(said, right).prefix { $0 == $1 }.count
      verdict.say(
        "\(what)s of \(key) differ from the journal's at \(place) (\(said.count) said, \(right.count) in the journal): "
          + "\(place < said.count ? said[place] : "nothing") / journal: \(place < right.count ? right[place] : "nothing")"
      )
    }
    verdict.count(what, live.count)
  }
}
