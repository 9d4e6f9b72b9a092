// The stages that are measured are those that they are called.

import Benchmarks
import Foundation
import LoadGenerator
import Testing

@Suite struct StagesTests {
  private let config = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("config").path

  @Test(arguments: EngineStage.allCases) func eachStageTakesEveryEvent(stage: EngineStage) throws {
    var load = LoadOptions()
    load.customers = 500
    load.events = 10_000
    var generator = LoadGenerator(load)
    var batch = LineBatch(capacity: 1_000)
    var stages = try EngineStages(stage, config: config)
    var batches = 0
    while !generator.isAtEnd {
      batch.fill(from: &generator)
      #expect(stages.run(batch) == 0)
      batches += 1
    }
    #expect(batches == 10 && stages.events == 10_000)
    #expect((stages.customers > 400) == (stage != .parse))
    let bytes = stages.bytesByField()
    #expect(bytes.customers == stages.customers)
    #expect(bytes.fields.map(\.bytes).reduce(0, +) == stages.bytesInUse)
    #expect(bytes.fields.allSatisfy { $0.bytes >= 0 })
    // Outputs come with rules only.
    #expect((stages.outputBytes > 0) == (stage == .fiveTags || stage == .rules))
  }
}
