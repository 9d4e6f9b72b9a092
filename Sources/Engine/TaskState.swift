// A task's state as entries of a checkpoint, and its digest.
//
// Keys: 0x06 + customer id -> record (see `EncodedRecord`).
//       0x01, 0x04 and 0x05 + customer id -> a record of layout 1, 2 or 3, which this version does not read.
//       0x02 "task"        -> TaskMetadata.
//       0x02 "currency"    -> minor-unit digits (1 byte), ISO 4217 code: of all money in the records.
//       0x02 "reached"     -> for each topic whose greatest event time counts (`clock: event`): that time (microseconds, 8
//              bytes, little-endian), length of the topic's name (2 bytes, little-endian), name.
//       0x02 "rules" + generation (4 bytes, big-endian) -> rule layout, text.
//       0x02 "name" + symbol number (4 bytes, big-endian) -> the name.
//       0x03 + hash of a customer id (8 bytes, big-endian) -> the stub of one who was evicted: number of the last tag
//              change and of the last alert (4 bytes each, little-endian).
// Customers and stubs may be removed by a later block.

import CXXHash
import Customers
import Events
import Rules

/// State that this version, with these rules, must not take over.
public struct StateError: Error, CustomStringConvertible {
  public let description: String
}

/// The fixed part of a task, stored as its bytes.
struct TaskMetadata {
  var layoutVersion = CustomerHeader.layoutVersion
  var isLive: UInt32 = 0
  var seed: UInt64 = 0
  var clock = Instant.distantPast
  /// Next slot of a backfill sweep under way; -1 = none. Slots follow the order of the entries on restore, so a
  /// restart begins the sweep again: flags on the records keep it from doubling anything.
  var backfillSweep: Int64 = -1
  var counters = EngineCounters()
  var recordCounters = RecordCounters()
}

extension EngineTask {
  /// The first byte of customers' keys.
  public static var customerKind: UInt8 { 6 }
  private static var taskKind: UInt8 { 2 }
  private static var stubKind: UInt8 { 3 }

  /// How many customers `takeChanges` will copy, those removed meanwhile among them.
  public var changedCustomers: Int { table.dirtyCount }

  /// Adds the customers who changed longest ago to `list`, all but the last `leaving`: what `takeChanges` adds to the same
  /// list completes it.
  public mutating func copyAhead(into list: ChangeList, leaving: Int) {
    table.takeDirtyAhead(into: list, kind: Self.customerKind, leaving: leaving)
  }

  /// Adds every entry that changed since the last call to `list`, but for what `copyAhead` has put there. Copies only:
  /// records wait meanwhile.
  public mutating func takeChanges(into list: ChangeList) {
    table.drainRemoved { list.append(kind: Self.customerKind, key: $0, value: nil) }
    stubs.drainChanges { hash, stub in
      withUnsafeBytes(of: hash.bigEndian) { key in
        guard let stub else { return list.append(kind: Self.stubKind, key: key, value: nil) }
        let value = (stub.sequence.littleEndian, stub.alertNumber.littleEndian)
        withUnsafeBytes(of: value) { list.append(kind: Self.stubKind, key: key, value: $0) }
      }
    }
    table.takeDirty(into: list, kind: Self.customerKind)
    let changed = metadataDirty || !list.isEmpty
    symbols.pointee.drainUnsaved { number, name in Self.put(Self.key("name", number), name, list) }
    ruleLayouts.drainUnsaved { generation, layout in Self.put(Self.key("rules", generation), layout, list) }
    guard changed else { return }
    var metadata = TaskMetadata()
    metadata.isLive = isLive ? 1 : 0
    metadata.seed = stubSeed
    metadata.clock = clock
    metadata.backfillSweep = backfillSweep.map(Int64.init) ?? -1
    metadata.counters = counters
    metadata.recordCounters = recordCounters
    withUnsafeBytes(of: metadata) { value in Self.key("task").withUnsafeBytes { list.append(key: $0, value: value) } }
    metadataDirty = false
    if !isCurrencySaved {
      let code = context.settings.currencyCode
      Self.put(Self.key("currency"), [UInt8(context.settings.currencyExponent)] + Array(code.utf8), list)
      isCurrencySaved = true
    }
    if !reached.isEmpty { Self.put(Self.key("reached"), encodedReached, list) }
  }

  private var encodedReached: [UInt8] {
    var bytes: [UInt8] = []
    for (topic, instant) in reached.sorted(by: { $0.key < $1.key }) {
      withUnsafeBytes(of: instant.microseconds.littleEndian) { bytes.append(contentsOf: $0) }
      withUnsafeBytes(of: UInt16(topic.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
      bytes.append(contentsOf: topic.utf8)
    }
    return bytes
  }

  private static func put(_ key: [UInt8], _ value: [UInt8], _ list: ChangeList) {
    key.withUnsafeBytes { key in value.withUnsafeBytes { list.append(key: key, value: $0) } }
  }

  private static func key(_ name: StaticString, _ number: UInt32? = nil) -> [UInt8] {
    var key = [taskKind]
    key.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    if let number { withUnsafeBytes(of: number.bigEndian) { key.append(contentsOf: $0) } }
    return key
  }

  /// Puts back one entry of a checkpoint; later entries of a key replace earlier ones. Call on a fresh task.
  public mutating func restore(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(StateError) {
    guard let value else { return try restoreRemoval(key) }
    switch key.first {
    case Self.stubKind:
      guard value.count == 8 else { throw unknown(key) }
      let stub = CustomerStub(
        sequence: UInt32(littleEndian: value.loadUnaligned(as: UInt32.self)),
        alertNumber: UInt32(littleEndian: value.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
      stubs.restore(try stubHash(inKey: key), stub)
    case Self.customerKind:
      do {
        try table.restore(id: UnsafeRawBufferPointer(rebasing: key.dropFirst()), encoded: value)
      } catch {
        throw StateError(description: "customer in the checkpoint: \(error)")
      }
    case Self.taskKind:
      let name = key.dropFirst()
      if name.elementsEqual("task".utf8) { return try restoreMetadata(value) }
      if name.elementsEqual("currency".utf8) { return try restoreCurrency(value) }
      if name.elementsEqual("reached".utf8) { return try restoreReached(value) }
      guard name.count > 4 else { throw unknown(key) }
      var number: UInt32 = 0
      for byte in name.suffix(4) { number = number << 8 | UInt32(byte) }
      if name.dropLast(4).elementsEqual("name".utf8) {
        restoredNames[number] = Array(value)
      } else if name.dropLast(4).elementsEqual("rules".utf8), let layout = RuleLayout(encoded: value) {
        ruleLayouts.restore(generation: number, layout: layout)
      } else {
        throw unknown(key)
      }
    default: throw unknown(key)
    }
  }

  private mutating func restoreRemoval(_ key: UnsafeRawBufferPointer) throws(StateError) {
    switch key.first {
    case Self.customerKind: table.restoreRemoval(id: UnsafeRawBufferPointer(rebasing: key.dropFirst()))
    case Self.stubKind: stubs.restore(try stubHash(inKey: key), nil)
    default: throw unknown(key)
    }
  }

  private func stubHash(inKey key: UnsafeRawBufferPointer) throws(StateError) -> UInt64 {
    guard key.count == 9 else { throw unknown(key) }
    return UInt64(bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
  }

  private func unknown(_ key: UnsafeRawBufferPointer) -> StateError {
    switch key.first {
    case 1: ofOlderLayout(1)
    case 4: ofOlderLayout(2)
    case 5: ofOlderLayout(3)
    default:
      StateError(
        description:
          "the checkpoint holds an entry of an unknown kind (\(key.first ?? 0)); was it written by a newer version?")
    }
  }

  private func ofOlderLayout(_ layout: Int) -> StateError {
    StateError(
      description:
        "the state was written by an older Tidewatch, in record layout \(layout); this version reads "
        + "\(CustomerHeader.layoutVersion). Go on with that version, or set kafka.group to a new name and let the topics be "
        + "read again from their beginning")
  }

  private mutating func restoreMetadata(_ value: UnsafeRawBufferPointer) throws(StateError) {
    guard value.count == MemoryLayout<TaskMetadata>.size else {
      throw StateError(
        description:
          "the checkpoint's task entry has \(value.count) bytes; this version writes \(MemoryLayout<TaskMetadata>.size)"
      )
    }
    let metadata = value.loadUnaligned(as: TaskMetadata.self)
    if metadata.layoutVersion < CustomerHeader.layoutVersion { throw ofOlderLayout(Int(metadata.layoutVersion)) }
    guard metadata.layoutVersion == CustomerHeader.layoutVersion else {
      throw StateError(
        description:
          "the state was written by a newer Tidewatch, in record layout \(metadata.layoutVersion); this version reads "
          + "\(CustomerHeader.layoutVersion). Run that version, or a newer one")
    }
    if table.count == 0 { table.reseed(metadata.seed) }
    stubSeed = metadata.seed
    clock = metadata.clock
    isLive = metadata.isLive != 0 || context.settings.clockMode == .event
    backfillSweep = metadata.backfillSweep < 0 ? nil : 0
    counters = metadata.counters
    recordCounters = metadata.recordCounters
    metadataDirty = false
  }

  private mutating func restoreCurrency(_ value: UnsafeRawBufferPointer) throws(StateError) {
    let settings = context.settings
    let code = String(decoding: value.dropFirst(), as: UTF8.self)
    guard let digits = value.first, code == settings.currencyCode, Int(digits) == settings.currencyExponent else {
      throw StateError(
        description:
          "the state keeps money in \(code) with \(value.first ?? 0) decimal places, and the configuration says "
          + "\(settings.currencyCode) with \(settings.currencyExponent): what was added up cannot be converted. Put "
          + "currency.reporting and currency.exponent back, or set kafka.group to a new name and let the topics be read again "
          + "from their beginning")
    }
    isCurrencySaved = true
  }

  private mutating func restoreReached(_ value: UnsafeRawBufferPointer) throws(StateError) {
    reached = [:]
    var rest = value[...]
    while !rest.isEmpty {
      let header = rest.prefix(10)
      guard header.count == 10 else { throw cutReached }
      let bytes = UnsafeRawBufferPointer(rebasing: header)
      let count = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
      let name = rest.dropFirst(10).prefix(count)
      guard name.count == count else { throw cutReached }
      reached[String(decoding: name, as: UTF8.self)] = Instant(
        microseconds: Int64(littleEndian: bytes.loadUnaligned(as: Int64.self)))
      rest = rest.dropFirst(10 + count)
    }
  }

  private var cutReached: StateError {
    StateError(description: "the checkpoint's entry of what the topics had reached is cut")
  }

  /// After the last entry: rebuilds the timers and notices a change of rules, and of what they are reckoned with.
  public mutating func finishRestore() throws(StateError) {
    for (number, name) in restoredNames.sorted(by: { $0.key < $1.key }) {
      guard symbols.pointee.restore(number: number, name: name) else {
        throw StateError(description: "the checkpoint's names have a gap before number \(number)")
      }
    }
    restoredNames.removeAll()
    let rules = context.settings.rules
    if let saved = ruleLayouts.current, saved.revision > rules.revision {
      throw StateError(
        description:
          "the state was written under rules of revision \(saved.revision), the rule file says \(rules.revision): "
          + "use the newer rule file, or raise its `revision` above \(saved.revision)")
    }
    if ruleLayouts.adopt(context.settings) { metadataDirty = true }
    timers.removeAll()
    table.endRestore()
    for number in 0..<UInt32(table.slotCount) {
      let index = CustomerIndex(number: number)
      if table.isFree(index) { continue }
      prefetchAhead(of: number)
      let record = table.record(index)
      // Does nothing, unless the state was written without eviction or for a longer retention.
      record.header.due = min(record.header.due, context.retentionDue(record))
      let header = record.header
      guard ruleLayouts.generations[header.ruleGeneration] != nil else {
        throw StateError(
          description:
            "a customer record refers to rule generation \(header.ruleGeneration), which the checkpoint lacks")
      }
      if header.due != .distantFuture { timers.push(index, due: header.due) }
      if header.ruleGeneration != ruleLayouts.currentGeneration { ruleSweep = 0 }
    }
  }

  /// Asks for the record of a customer who comes a little later, where the table is gone through in its own order.
  @inline(__always)
  private func prefetchAhead(of number: UInt32) {
    if Int(number) + 8 < table.slotCount { table.places.prefetchRecord(of: CustomerIndex(number: number + 8)) }
  }

  /// Sums over all customers.
  public func sums() -> CustomerSums {
    var sums = CustomerSums()
    sums.customers = table.count
    for number in 0..<UInt32(table.slotCount) where !table.isFree(CustomerIndex(number: number)) {
      prefetchAhead(of: number)
      let record = table.record(CustomerIndex(number: number))
      let totals = record.totals
      if totals.paid > 0 { sums.buyers += 1 }
      if record.alerts.set.contains(.everArmed) { sums.everArmed += 1 }
      sums.paidOrders += Int(totals.paid)
      sums.grossMinor &+= totals.grossMinor
      sums.netMinor &+= totals.netMinor
    }
    return sums
  }

  /// A sum over customers of a hash of each one's logical fields, names instead of numbers: independent of layout,
  /// batches, partitions and the order of customers. Timers and caches are not part of it, nor are the stubs of customers
  /// who were evicted.
  public func digest() -> UInt64 {
    var total: UInt64 = 0
    var buffer: [UInt8] = []
    for number in 0..<UInt32(table.slotCount) where !table.isFree(CustomerIndex(number: number)) {
      prefetchAhead(of: number)
      let record = table.record(CustomerIndex(number: number))
      buffer.removeAll(keepingCapacity: true)
      record.appendLogicalBytes(to: &buffer, symbols: symbols.pointee)
      for (tag, rule) in context.settings.rules.rules.enumerated() where tag < record.tagCount && record[tag: tag] != 0
      {
        buffer.append(contentsOf: rule.name.utf8)
        TagValue(record[tag: tag], of: context.texts.facts[tag].values)
          .appendName(to: &buffer, texts: context.texts, symbols: symbols.pointee)
        buffer.append(0)
      }
      total &+= buffer.withUnsafeBytes { tw_xxh3_64($0.baseAddress, $0.count, 0) }
    }
    return total
  }
}
