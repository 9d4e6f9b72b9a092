// One engine thread of a replay: a task of its own for the customers whose hash falls to it.

import Customers
import Engine
import Events
import Handoff

/// The threads are told to end.
struct Stopped: Error {}

/// What came of one thread's customers.
struct WorkerResult: Sendable {
  var read = 0
  var rejected: [RejectReason: Int] = [:]
  var engine = EngineCounters()
  var overflows = RecordCounters()
  var customers = CustomerSums()
  var stateDigest: UInt64 = 0

  /// Adds that of another thread: none of it depends on which thread had which customer.
  mutating func add(_ other: WorkerResult) {
    read += other.read
    rejected.merge(other.rejected, uniquingKeysWith: +)
    engine.add(other.engine)
    overflows.add(other.overflows)
    customers.add(other.customers)
    stateDigest &+= other.stateDigest
  }
}

/// Goes over all lines, to move its clock where one task with all customers would move it, and applies those of its
/// own.
///
/// There are no sweeps here, which would go over all customers of a task in the order of its table: rules do not change
/// in a replay, and under `ClockMode.event` no alert is held back.
struct EngineWorker: ~Copyable {
  private var task: EngineTask
  private let number: Int
  private let count: Int
  private let options: ReplayOptions
  private let sink: OutputMerge.Source
  private let names: NameCensus?
  private var knownNames = 0

  private var marks: [OutputChunk.Mark] = []
  /// Entries of the task's outputs that have their mark.
  private var marked = 0
  /// Its own lines of a batch.
  private let own: UnsafeMutableBufferPointer<Int32>
  private var result = WorkerResult()

  /// So that no buffer grows large: nothing else depends on them.
  private static let timersAtOnce = 4096
  private static let chunkBytes = 1 << 20
  /// Customers whose memory is asked for ahead of their events: few enough to stay in the nearest caches.
  private static let lookAhead = 32

  /// - Parameters:
  ///   - number: of `count` threads, from 0.
  ///   - names: nil where there is one thread only.
  init(
    _ number: Int, of count: Int, options: ReplayOptions, settings: EngineSettings, sink: OutputMerge.Source,
    names: NameCensus?
  ) {
    task = EngineTask(settings: settings, seed: Replay.seed)
    self.number = number
    self.count = count
    self.options = options
    self.sink = sink
    self.names = names
    own = .allocate(capacity: max(1, options.batchLines))
  }

  deinit { own.deallocate() }

  // MARK: Lines

  /// - Throws: `Stopped`, `TooManyNames`.
  mutating func apply(_ batch: DecodedBatch) throws {
    let ownCount = findOwn(batch)
    // The first line past which the clock has not gone yet.
    var next = 0
    for start in stride(from: 0, to: ownCount, by: Self.lookAhead) {
      let end = min(ownCount, start + Self.lookAhead)
      for place in own[start..<end] { task.prefetchIndex(batch.hashes[Int(place)]) }
      for place in own[start..<end] { task.prefetchPlace(batch.hashes[Int(place)]) }
      for place in own[start..<end] { task.prefetchRecord(batch.hashes[Int(place)]) }
      for number in start..<end {
        let place = Int(own[number])
        if next < place { try advance(over: next..<place, of: batch) }
        try apply(place, of: batch)
        next = place + 1
        try advance(over: place..<next, of: batch)
      }
    }
    if next < batch.count { try advance(over: next..<batch.count, of: batch) }
    if let names {
      if task.nameCount > knownNames || task.leftOutNames > 0 { try names.take(&knownNames, from: task) }
    }
    marks.append(OutputChunk.Mark(place: .end(of: batch.endLine - 1), end: marked))
    try say()
  }

  /// The lines that fall to this thread.
  private func findOwn(_ batch: DecodedBatch) -> Int {
    var found = 0
    for place in 0..<batch.count {
      own[found] = Int32(truncatingIfNeeded: place)
      found += Sharding.thread(of: batch.hashes[place], among: count) == number ? 1 : 0
    }
    return found
  }

  private mutating func apply(_ place: Int, of batch: DecodedBatch) throws(Stopped) {
    let line = batch.lines.baseAddress.unsafelyUnwrapped + place
    var reason = line.pointee.rejected
    let hash = CustomerHash(value: batch.hashes[place], seed: Replay.seed)
    if reason == nil, task.apply(line.pointee.event, hash: hash) == .tooLate { reason = .tooLate }
    result.read += 1
    if let reason {
      result.rejected[reason, default: 0] += 1
      DeadLetter.encode(
        reason: reason, origin: line.pointee.event.origin, topicName: options.topic, key: nil,
        payload: line.pointee.bytes, brokerTimestamp: nil, emittedAt: task.clock,
        maxPayloadBytes: options.maxDeadLetterBytes, into: &task.outputs)
    }
    try mark(.line(batch.firstLine + Int64(place)))
  }

  // MARK: Time

  /// Moves the clock past these lines, one or more, of which none but the first is the thread's own, and that one was
  /// applied.
  private mutating func advance(over lines: Range<Int>, of batch: DecodedBatch) throws(Stopped) {
    let clock = batch.clocks[lines.upperBound - 1]
    var place = lines.lowerBound
    while task.nextDue <= clock {
      let due = task.nextDue
      while batch.clocks[place] < due { place += 1 }
      try fire(due, behind: batch.firstLine + Int64(place))
    }
    task.advance(to: clock)
  }

  /// Fires what is due at one instant, the next; the clock is taken no further, so that what is due later gets its own
  /// mark. Only what a late event has made due behind the clock fires together: all of that is of one customer, and
  /// comes before what other tasks have due at this line.
  private mutating func fire(_ due: Instant, behind line: Int64) throws(Stopped) {
    let place = OutputPlace(line: line, due: due)
    while task.advance(to: due, maxTimers: Self.timersAtOnce) { try mark(place) }
    try mark(place)
  }

  // MARK: End

  /// Behind the last line: lets the time go on to where the replay ends, and writes the profiles.
  mutating func finish() throws(Stopped) -> WorkerResult {
    let end = max(task.clock, options.until ?? .distantPast)
    while task.nextDue <= end { try fire(task.nextDue, behind: .max) }
    task.advance(to: end)
    if options.profiles {
      let customers = task.customersByID()
      for (place, index) in customers.enumerated() {
        task.prefetchAhead(of: place, in: customers)
        task.emitProfile(of: index)
        try mark(.profiles)
      }
    }
    if !marks.isEmpty { try say() }
    result.engine = task.counters
    result.overflows = task.recordCounters
    result.customers = task.sums()
    result.stateDigest = task.digest()
    return result
  }

  // MARK: Outputs

  /// Notes where the outputs since the last mark belong.
  @inline(__always)
  private mutating func mark(_ place: OutputPlace) throws(Stopped) {
    let end = task.outputs.entries.count
    if end == marked { return }
    marks.append(OutputChunk.Mark(place: place, end: end))
    marked = end
    if task.outputs.bytes.count >= Self.chunkBytes { try say() }
  }

  /// Hands over what was said so far, and leaves an empty buffer in its place.
  private mutating func say() throws(Stopped) {
    guard let chunk = sink.free.take() else { throw Stopped() }
    swap(&chunk.outputs, &task.outputs)
    swap(&chunk.marks, &marks)
    marked = 0
    guard sink.full.put(chunk) else { throw Stopped() }
  }
}
