// The whole demo on the embedded broker: everything the shop sent was read, and what came out agrees with the shop.

import Demo
import Events
import Foundation
import Testing

@Suite(.serialized) struct DemoRunTests {
  @Test func everythingSentIsReadJudgedAndAccountedFor() throws {
    var options = DemoOptions()
    options.seed = 11
    options.customers = 250
    options.historyDays = 130
    options.daysPerSecond = 5
    var isLive = false
    let (status, board) = try DemoRun(options).run(
      isStopped: { isLive },
      show: { status, _ in
        if status.phase == .live { isLive = true }
      })
    #expect(status.phase == .ended && status.warning.isEmpty)
    #expect(status.shopTime >= options.shop.opening + .days(130))

    // The same shop again, by itself.
    var shop = SyntheticShop(options.shop)
    _ = shop.next(until: status.shopTime)
    let dirt = { (kind: ShopDirt) in shop.dirtCounts[Int(kind.rawValue)] }
    let duplicates = dirt(.duplicate)
    #expect(status.produced == shop.eventCount)
    #expect(status.consumed == shop.eventCount)
    #expect(status.customers == shop.customerCount)
    #expect(status.duplicates == duplicates)
    #expect(board.deadLetters == shop.dirtCounts.reduce(0, +) - duplicates)
    let reasons = Dictionary(uniqueKeysWithValues: board.byReason.map { ($0.name, $0.count) })
    #expect(reasons["malformed_json", default: 0] == dirt(.malformed))
    #expect(reasons["unknown_currency", default: 0] == dirt(.unknownCurrency))
    #expect(reasons["timestamp_in_future", default: 0] == dirt(.future))
    #expect(reasons["too_late", default: 0] == dirt(.stale))
    #expect(reasons["missing_customer", default: 0] == dirt(.noCustomer))
    #expect(reasons["missing_timestamp", default: 0] == dirt(.noTime))
    #expect(reasons["missing_type", default: 0] == dirt(.noType))
    #expect(reasons["key_mismatch", default: 0] == dirt(.keyMismatch))

    #expect(board.unreadable == 0)
    #expect(board.tagChanges > 1_000)
    #expect(board.judge.churn.all == board.raisedChurn && board.raisedChurn > 100)
    // The threshold is what a calibrated model keeps, chance is far below.
    let right = try #require(board.judge.churn.share)
    let base = try #require(board.judge.base.share)
    #expect(right > 0.45 && right > base + 0.1)
    var judge = board.judge
    #expect((judge.found(at: status.shopTime).share ?? 0) > 0.9)

    let left = try FileManager.default.contentsOfDirectory(atPath: FileManager.default.temporaryDirectory.path)
    #expect(
      !left.contains { $0.hasPrefix("tidewatch-demo-") && $0.contains("\(ProcessInfo.processInfo.processIdentifier)") })
  }

  @Test func theDefaultTagsAreThoseOfTheConfiguration() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let tags = try Data(contentsOf: root.appendingPathComponent("config/tags.yaml"))
    #expect(DemoRun.defaultTags == Array(tags))
  }
}
