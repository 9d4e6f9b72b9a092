// What a progress report says, as text: pure, so that tests can read it.

/// A moment of some long work.
public struct ProgressState: Sendable {
  /// What is being done: `replay`, `import`.
  public var label: String
  /// What `items` counts, in the plural: `events`, `rows`.
  public var unit: String
  /// How far the work is, in any unit, against `total`: bytes of a file, seconds of a demo.
  public var done: UInt64 = 0
  /// Nil when nobody knows; then there is no bar and no ETA.
  public var total: UInt64?
  public var items: UInt64 = 0
  /// Since the work began.
  public var elapsedSeconds: Double = 0

  public init(label: String, unit: String, total: UInt64?) {
    self.label = label
    self.unit = unit
    self.total = total
  }

  /// 0...1, or nil when the total is unknown or zero.
  public var fraction: Double? {
    guard let total, total > 0 else { return nil }
    return min(1, Double(done) / Double(total))
  }

  /// Items per second on average since the start.
  public var itemsPerSecond: Double { elapsedSeconds > 0 ? Double(items) / elapsedSeconds : 0 }

  /// Seconds to go if the rest goes as the part behind did; nil before anything can be said.
  public var remainingSeconds: Double? {
    guard let fraction, fraction > 0, elapsedSeconds > 0 else { return nil }
    return elapsedSeconds * (1 - fraction) / fraction
  }

  /// For a terminal of `width` columns: never longer, the bar takes what the words leave.
  public func bar(width: Int) -> String {
    var words = "\(grouped(items)) \(unit)  \(shortRate(itemsPerSecond))/s"
    guard let fraction else { return String("\(label)  \(words)".prefix(width)) }
    if let remainingSeconds { words += "  ETA \(clockText(remainingSeconds))" }
    let percent = percentText(fraction)
    let cells = min(40, width - label.count - percent.count - words.count - 8)
    guard cells >= 8 else { return String("\(label)  \(percent)  \(words)".prefix(width)) }
    let full = Int(Double(cells) * fraction)
    let bar = String(repeating: "#", count: full) + String(repeating: "-", count: cells - full)
    return "\(label)  [\(bar)]  \(percent)  \(words)"
  }

  /// For a log: one line, nothing that moves.
  public var line: String {
    var text = "\(label): \(grouped(items)) \(unit), \(shortRate(itemsPerSecond))/s"
    if let fraction {
      text = "\(label): \(percentText(fraction)), \(grouped(items)) \(unit), \(shortRate(itemsPerSecond))/s"
    }
    if let remainingSeconds, let fraction, fraction < 1 { text += ", ETA \(clockText(remainingSeconds))" }
    return text
  }

  /// The last word when the work is done.
  public var closing: String {
    "\(label): \(grouped(items)) \(unit) in \(clockText(elapsedSeconds)), \(shortRate(itemsPerSecond))/s"
  }
}

/// `1,234,567`
public func grouped(_ value: some BinaryInteger) -> String {
  let digits = String(value.magnitude)
  var text = ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0 { text += "," }
    text.append(digit)
  }
  return value < 0 ? "-" + text : text
}

/// Three digits or so: `950`, `12.3k`, `812k`, `1.25M`.
public func shortRate(_ value: Double) -> String {
  func scaled(_ value: Double, _ unit: String) -> String {
    let digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
    return fixed(value, digits: digits) + unit
  }
  guard value.isFinite, value > 0 else { return "0" }
  if value >= 999_500 { return scaled(value / 1_000_000, "M") }
  if value >= 999.5 { return scaled(value / 1000, "k") }
  return fixed(value, digits: value >= 10 ? 0 : 1)
}

/// `0:07`, `12:34`, `1:02:03`
public func clockText(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds < 360_000 else { return "over 100 h" }
  let whole = Int(max(0, seconds).rounded())
  func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
  if whole >= 3600 { return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))" }
  return "\(whole / 60):\(two(whole % 60))"
}

/// A non-negative number below 10^15 with `digits` (at most 3) after the point.
public func fixed(_ value: Double, digits: Int) -> String {
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let whole = Int((value * Double(scale)).rounded())
  if digits == 0 { return "\(whole)" }
  let fraction = String(whole % scale)
  return "\(whole / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
}

private func percentText(_ fraction: Double) -> String {
  // 100 % only when it is so.
  let percent = Int(fraction * 100)
  return percent < 10 ? "  \(percent) %" : percent < 100 ? " \(percent) %" : "\(percent) %"
}
