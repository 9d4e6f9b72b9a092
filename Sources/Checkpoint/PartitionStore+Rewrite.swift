// The store's side of a base rewrite: when it is due, what it may read, and taking over its result.

#if PlantedBugs
  import PlantedBugs
#endif

extension PartitionStore {
  /// Starts a rewrite of the base if one is due: the current log is closed, a new one begun, and the returned rewriter
  /// makes the base of the newest epoch out of the closed files while this store goes on appending.
  ///
  /// Run it on any one thread and give its result to `finishRewrite`. To be called after `confirm`; nil while the
  /// newest epoch is unconfirmed, a rewrite is under way or the log is short (unless `evenIfShort`).
  /// - Throws: `.disk` when the new log cannot be begun. If it may have been, the store is poisoned.
  public func startRewriteIfDue(evenIfShort: Bool = false) throws(CheckpointError) -> BaseRewriter? {
    #if PlantedBugs
      let takesUncommitted = PlantedBug.isPlanted(.baseFromUncommitted)
    #else
      let takesUncommitted = false
    #endif
    guard case .ready = phase, rewriting == nil, let newest = newestHeader,
      confirmed == newest.epoch || takesUncommitted, generation.base?.epoch != newest.epoch,
      isRewriteDue || evenIfShort
    else { return nil }
    try closeLog()
    rewriting = newest.epoch
    return BaseRewriter(
      plan: generation.plan(upTo: newest.epoch), header: newest,
      chain: generation.segments[generation.segments.count - 1].startChain, disk: disk, shape: shape)
  }

  /// Whether the log has grown far enough beyond the base, and no rewrite is under way.
  public var isRewriteDue: Bool {
    rewriting == nil
      && logBytes > max(policy.logBytesMin, UInt64(policy.logRatio * Double(baseBytes)), retryAtLogBytes)
  }

  /// Nothing has been appended since the log was closed: `startRewriteIfDue` has no file to make.
  public var isLogClosed: Bool { generation.segments.last?.blocks.isEmpty ?? false }

  /// Begins a new log behind the synced blocks, which a rewrite then reads; does nothing if the log has none. Three syncs:
  /// for whoever has the time that the caller of `startRewriteIfDue` may not have.
  /// - Throws: `.misuse` with a block that is not synced; `.disk`, after which the store may be poisoned.
  public func closeLog() throws(CheckpointError) {
    guard case .ready = phase else { throw .misuse("closing the log while the store is \(phaseName)") }
    guard let last = generation.segments.last, !last.blocks.isEmpty, let lineage = generation.lineage else { return }
    try startSegment(epoch: last.nextEpoch, chain: last.endChain, lineage: lineage, isFirst: false)
  }

  /// Takes over the new base, or remembers that it failed: then the older generation and its log go on, and another
  /// attempt is due after the log has grown by as much again as the policy's least.
  public func finishRewrite(_ result: Result<NewBase, CheckpointError>) {
    guard let epoch = rewriting else { return }
    rewriting = nil
    switch result {
    case .success(let new):
      assert(new.info.epoch == epoch && new.info.chain == tag(of: epoch)?.chain)
      generation.base = new.info
      generation.segments.removeAll { $0.firstEpoch <= epoch }
      assert(generation.segments.first?.firstEpoch == epoch + 1)
      retryAtLogBytes = 0
    case .failure:
      retryAtLogBytes = logBytes + policy.logBytesMin
    }
  }
}
