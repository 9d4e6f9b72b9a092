// A replay as it is meant: one task, line by line, nothing shared and nothing ahead of anything.

import Engine
import Events
import Replay

struct PlainReplay {
  var files: [OutputTopic: [UInt8]] = [:]
  var summary = ReplaySummary()

  /// - Parameter lines: as in the input files, which must be those of `options`.
  init(_ lines: [String], _ options: ReplayOptions, _ given: EngineSettings) {
    var settings = given
    settings.clockMode = .event
    settings.topicNames = [options.topic]
    settings.profiles = false
    var task = EngineTask(settings: settings, seed: 0)
    var clock = TaskClock(mode: .event, required: [false], sourceStall: .minutes(15))
    var decoder = EventDecoder(format: options.format, limits: options.limits, currencies: options.currencies)
    for line in lines where !line.isEmpty {
      decoder.reset()
      var event = Event()
      let origin = Origin(topic: 0, partition: 0, offset: Int64(summary.read))
      Array(line.utf8).withUnsafeBytes { bytes in
        var reason = decoder.decode(bytes, key: nil, origin: origin, ceiling: options.ceiling, into: &event)
        event.origin = origin
        if reason == nil, task.apply(event) == .tooLate { reason = .tooLate }
        if let reason {
          summary.rejectedBy[reason, default: 0] += 1
          DeadLetter.encode(
            reason: reason, origin: origin, topicName: options.topic, key: nil, payload: bytes, brokerTimestamp: nil,
            emittedAt: clock.now, maxPayloadBytes: options.maxDeadLetterBytes, into: &task.outputs)
        } else {
          clock.observe(topic: 0, eventTime: event.time)
          task.advance(to: clock.update(wall: .distantPast))
        }
      }
      summary.read += 1
      take(&task.outputs)
    }
    clock.reachedEnd(of: 0)
    if let until = options.until { clock.advance(to: until) }
    task.advance(to: clock.update(wall: .distantPast))
    if options.profiles {
      for index in task.customersByID() { task.emitProfile(of: index) }
    }
    take(&task.outputs)
    summary.engine = task.counters
    summary.overflows = task.recordCounters
    summary.customers = task.sums()
    summary.stateDigest = task.digest()
  }

  private mutating func take(_ outputs: inout OutputBuffer) {
    for entry in outputs.entries { files[entry.topic, default: []] += outputs.bytes[entry.value] + [10] }
    outputs.removeAll()
  }
}
