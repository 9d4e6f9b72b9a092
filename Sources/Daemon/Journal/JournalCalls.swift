// The calls of one epoch as bytes, and back.

import Events

/// Collects the calls. Instants are differences to the one before them.
struct JournalCalls {
  private var bytes = JournalBytes()
  private var lastWall: Int64 = 0
  private var lastTimestamp: Int64 = 0

  private mutating func begin(_ call: JournalFormat.Call) { bytes.storage.append(call.rawValue) }
  private mutating func wall(_ instant: Instant) {
    bytes.signed(instant.microseconds &- lastWall)
    lastWall = instant.microseconds
  }

  mutating func consume(_ record: InputItem, wall: Instant) {
    begin(.consume)
    var flags: UInt8 = 0
    if record.key != nil { flags |= JournalFormat.hasKey }
    if record.value != nil { flags |= JournalFormat.hasValue }
    if record.timestamp != nil { flags |= JournalFormat.hasTimestamp }
    if record.isSkipped { flags |= JournalFormat.isSkipped }
    bytes.storage.append(flags)
    bytes.number(UInt64(record.topic))
    bytes.signed(record.offset)
    self.wall(wall)
    if let timestamp = record.timestamp {
      bytes.signed(timestamp.microseconds &- lastTimestamp)
      lastTimestamp = timestamp.microseconds
    }
    if let key = record.key { bytes.bytes(key) }
    if let value = record.value { bytes.bytes(value) }
  }

  mutating func reachedEnd(of topic: Int) {
    begin(.reachedEnd)
    bytes.number(UInt64(topic))
  }

  mutating func topicGrew(_ topic: Int, at wall: Instant) {
    begin(.topicGrew)
    bytes.number(UInt64(topic))
    self.wall(wall)
  }

  mutating func tick(wall: Instant, maxTimers: Int) {
    begin(.tick)
    self.wall(wall)
    bytes.number(UInt64(maxTimers))
  }

  mutating func advance(to instant: Instant, maxTimers: Int) {
    begin(.advance)
    wall(instant)
    bytes.number(UInt64(maxTimers))
  }

  mutating func emitProfiles(from start: Int, limit: Int) {
    begin(.emitProfiles)
    bytes.number(UInt64(start))
    bytes.number(UInt64(limit))
  }

  mutating func resume(epoch: UInt64, clock: Instant) {
    begin(.resume)
    bytes.number(epoch)
    wall(clock)
  }

  /// The body of the epoch's frame.
  func end(clock: Instant) -> [UInt8] {
    var body = JournalBytes()
    body.fixed(clock.microseconds)
    body.raw(bytes.storage)
    return body.storage
  }
}

/// What the calls of an epoch were.
struct JournalEpoch {
  /// Where the clock was at its end.
  var clock = Instant.distantPast
  var records = 0
  var ticks = 0

  /// Makes the calls again; false when the bytes are not what `JournalCalls` writes.
  mutating func perform(_ body: UnsafeRawBufferPointer, partition: Int32, topics: Int, on logic: any TaskLogic) -> Bool
  {
    var input = JournalInput(body)
    guard let clock = input.fixed(Int64.self) else { return false }
    self.clock = Instant(microseconds: clock)
    var wall: Int64 = 0
    var timestamp: Int64 = 0
    func nextWall() -> Instant? {
      guard let step = input.signed() else { return nil }
      wall &+= step
      return Instant(microseconds: wall)
    }
    func topic() -> Int? { input.int().flatMap { $0 < topics ? $0 : nil } }
    while !input.isAtEnd {
      guard let call = input.fixed(UInt8.self).flatMap(JournalFormat.Call.init) else { return false }
      switch call {
      case .consume:
        guard let flags = input.fixed(UInt8.self), let topic = topic(), let offset = input.signed(),
          let at = nextWall()
        else { return false }
        var item = InputItem(kind: .record, topic: topic, partition: partition, offset: offset)
        if flags & JournalFormat.hasTimestamp != 0 {
          guard let step = input.signed() else { return false }
          timestamp &+= step
          item.timestamp = Instant(microseconds: timestamp)
        }
        if flags & JournalFormat.hasKey != 0 {
          guard let key = input.counted() else { return false }
          item.key = key
        }
        if flags & JournalFormat.hasValue != 0 {
          guard let value = input.counted() else { return false }
          item.value = value
        }
        item.isSkipped = flags & JournalFormat.isSkipped != 0
        records += 1
        logic.consume(item, wall: at)
      case .reachedEnd:
        guard let topic = topic() else { return false }
        logic.reachedEnd(of: topic)
      case .topicGrew:
        guard let topic = topic(), let at = nextWall() else { return false }
        logic.topicGrew(topic, at: at)
      case .tick:
        guard let at = nextWall(), let limit = input.int() else { return false }
        ticks += 1
        _ = logic.tick(wall: at, maxTimers: limit)
      case .advance:
        guard let to = nextWall(), let limit = input.int() else { return false }
        _ = logic.advance(to: to, maxTimers: limit)
      case .emitProfiles:
        guard let start = input.int(), let limit = input.int() else { return false }
        _ = logic.emitProfiles(from: start, limit: limit)
      case .resume:
        guard let epoch = input.number(), let clock = nextWall() else { return false }
        logic.resume(epoch: epoch, clock: clock)
      }
    }
    return true
  }
}
