// Customers who stay silent for long: their tags are taken back, their alerts end, their record goes, and a stub stays.

import CXXHash
import Customers
import Events

extension EngineContext {
  /// When a customer has been silent for long enough, if nothing more is heard.
  func retentionDue(_ record: CustomerRecord) -> Instant {
    (record.header.lastSeen + retention).roundedUpToSecond
  }

  func isSilentForLong(_ record: CustomerRecord, at now: Instant) -> Bool {
    now >= record.header.lastSeen + retention
  }
}

extension EngineTask {

  /// Says that the customer's tags and alerts end, and forgets all but the numbers of its last outputs.
  mutating func evict(_ index: CustomerIndex, at now: Instant) {
    let context = context
    let record = table.record(index)
    let view = view(index, at: now)
    var occasion = ChangeOccasion(cause: .retention, late: false)
    for (rule, facts) in context.texts.facts.enumerated() where rule < record.tagCount && record[tag: rule] != 0 {
      let old = TagValue(record[tag: rule], of: facts.values)
      record[tag: rule] = 0
      if facts.shadow {
        counters.shadowChanges += 1
        continue
      }
      emitChange(
        index, TagChange(facts: facts, old: old, new: .unset), texts: context.texts, view: view, &occasion)
    }
    endAlerts(of: index, view: view)
    let stub = CustomerStub(sequence: record.header.sequence, alertNumber: record.alerts.lastNumber)
    if !stub.isEmpty { stubs.insert(stubHash(of: record.id), stub) }
    if context.settings.profiles {
      pendingProfiles.remove(index.number)
      writeProfileEnd(index, at: now)
    }
    table.remove(index)
    evictions += 1
  }

  /// A customer who was evicted goes on counting where it stopped. Called for each new record.
  mutating func takeStub(_ index: CustomerIndex) {
    if stubs.count == 0 { return }
    let record = table.record(index)
    guard let stub = stubs.take(stubHash(of: record.id)) else { return }
    record.header.sequence = stub.sequence
    if stub.alertNumber > 0 {
      var alerts = record.alerts
      alerts.lastNumber = stub.alertNumber
      table.setAlerts(alerts, of: index)
    }
  }

  /// Under a seed that never changes with the state, unlike the table's, which is its own in every process.
  private func stubHash(of id: UnsafeRawBufferPointer) -> UInt64 { tw_xxh3_64(id.baseAddress, id.count, stubSeed) }
}
