// How much disk a partition takes at most, and that a rewrite of its base stops nothing.
import Checkpoint
import CheckpointTesting
import Synchronization
import Testing

/// Largest and present sizes of a disk's files, looked at before every change.
private final class DiskMeter: Sendable {
  let peak = Mutex(0)

  func disk(_ base: ModelDisk) -> InterleavedDisk {
    InterleavedDisk(base) { _, _ in
      let bytes = base.totalBytes
      self.peak.withLock { $0 = max($0, bytes) }
    }
  }
}

@Suite struct DiskUseTests {
  /// What the documentation of `PartitionStore.Policy` promises, in bytes.
  ///
  /// - Parameters: the largest base, the largest block, and what was appended during one rewrite at most.
  private func bound(_ policy: PartitionStore.Policy, base: Int, block: Int, meanwhile: Int) -> Int {
    let due = max(Int(policy.logBytesMin), Int(policy.logRatio * Double(base)))
    return 3 * base + 2 * (max(due, meanwhile) + block) + meanwhile + 4 * 64
  }

  /// The size of a base with this state, from the format alone.
  private func baseBytes(_ state: State) -> Int {
    let entries = state.reduce(0) { $0 + 6 + $1.key.count + $1.value.count }
    // File header; head with four names, two topics and the empty list of interventions; chunks; end.
    let head = 116 + (2 + 4) + (2 + 7) + (2 + 5) + (2 + 5) + (2 + 11 + 8) + (2 + 6 + 8) + 2
    return 64 + head + entries + 72 * (entries / (1 << 20) + 1) + 88
  }

  /// Random workloads: keys that come and go, values that grow and shrink, appends while a base is rewritten.
  @Test func theFilesStayWithinTheDocumentedMultiple() throws {
    var tightest = 0.0
    var rewrites = 0
    for seed in 0..<60 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      let base = ModelDisk(seed: seed)
      let meter = DiskMeter()
      let policy = PartitionStore.Policy(
        logRatio: [0.5, 1, 2][Int(seed % 3)], logBytesMin: [2_000, 20_000][Int(seed / 3 % 2)])
      let store = try openNewest(meter.disk(base), policy: policy)
      var state: State = [:]
      var (largestBase, largestBlock, largestMeanwhile) = (0, 0, 0)
      var rewriter: BaseRewriter?
      var meanwhile = 0
      for epoch in 0..<400 as Range<UInt64> {
        let changes = Epoch.random(using: &random, keys: [5, 60][Int(seed / 6 % 2)])
        changes.apply(to: &state)
        try store.commit(changes, header(epoch))
        let bytes = try store.block(of: epoch).bytes
        largestBlock = max(largestBlock, bytes)
        largestBase = max(largestBase, baseBytes(state))
        if let running = rewriter {
          meanwhile += bytes
          largestMeanwhile = max(largestMeanwhile, meanwhile)
          if Int.random(in: 0..<4, using: &random) > 0 { continue }
          let new = try running.run()
          #expect(new.bytes <= largestBase)
          store.finishRewrite(.success(new))
          rewriter = nil
          rewrites += 1
        } else {
          rewriter = try store.startRewriteIfDue()
          meanwhile = 0
        }
      }
      let bound = bound(policy, base: largestBase, block: largestBlock, meanwhile: largestMeanwhile)
      let peak = meter.peak.withLock { $0 }
      #expect(peak <= bound, "seed \(seed): \(peak) bytes, at most \(bound) are promised")
      tightest = max(tightest, Double(peak) / Double(bound))
    }
    #expect(rewrites > 600)
    #expect(tightest > 0.6, "a bound that is never come near to says nothing")
  }
}
