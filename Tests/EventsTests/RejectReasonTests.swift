import Events
import Foundation
import Testing

@Suite struct RejectReasonTests {
  /// The table that people read lists the codes of the enum, in its order, and no other.
  @Test func theTableIsTheEnum() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Sources/Events/Events.docc/RejectReasons.md").standardizedFileURL
    let text = try String(contentsOf: file, encoding: .utf8)
    let codes = text.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap {
      $0.split(separator: "`").dropFirst().first.map(String.init)
    }
    #expect(codes == RejectReason.allCases.map(\.rawValue))
  }

  @Test(arguments: RejectReason.allCases)
  func hasAStableCodeAndASentence(reason: RejectReason) {
    #expect(reason.rawValue.utf8.allSatisfy { ($0 >= 97 && $0 <= 122) || $0 == 95 || ($0 >= 48 && $0 <= 57) })
    #expect(reason.message.hasSuffix("."))
    #expect(reason.message.count > 30)
  }
}
