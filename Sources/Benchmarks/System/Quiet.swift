// Waiting until nothing else is under way: what a part has left to be written, or to a broker to tidy, is not the next one's.

import Foundation

/// The time that all cores together have spent since the start of the machine, by what `/proc/stat` says.
package struct CoreTimes: Equatable {
  /// In ticks, of whatever length: only shares are taken of them.
  package var busy: UInt64
  package var all: UInt64

  /// - Parameter stat: the text of `/proc/stat`; nil when its first line is not that of all cores.
  package init?(stat: String) {
    // user nice system idle iowait irq softirq steal; guests count as user.
    let words = stat.prefix { $0 != "\n" }.split(separator: " ")
    guard words.first == "cpu" else { return nil }
    let ticks = words.dropFirst().prefix(8).compactMap { UInt64($0) }
    guard ticks.count >= 5 else { return nil }
    all = ticks.reduce(0, &+)
    busy = all &- ticks[3] &- ticks[4]
  }

  /// The share of the cores' time since `earlier` that was spent on anything, 0 to 1; nil when no time has passed.
  package func busyShare(since earlier: CoreTimes) -> Double? {
    guard all > earlier.all, busy >= earlier.busy else { return nil }
    return Double(busy - earlier.busy) / Double(all - earlier.all)
  }
}

/// Writes out what the file system holds back and waits until the cores have idled for a second, for a minute at most.
/// - Returns: the share of the last second in which they were busy, when that was too much still.
func waitUntilQuiet() -> Double? {
  sync()
  var last = 0.0
  for _ in 0..<60 {
    guard let before = CoreTimes(stat: contents("/proc/stat") ?? "") else { return nil }
    sleep(1)
    guard let after = CoreTimes(stat: contents("/proc/stat") ?? ""), let share = after.busyShare(since: before) else {
      return nil
    }
    if share < 0.1 { return nil }
    last = share
  }
  return last
}
