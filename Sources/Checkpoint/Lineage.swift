// Who a state is and how far it has come: the two values that are matched against the broker's commit metadata.

/// The random identity born with a state. Two states with different lineages never mix.
public struct Lineage: Hashable, Sendable, CustomStringConvertible {
  public var high: UInt64
  public var low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A new identity from the system's random source, or from `generator` in a simulation.
  public static func random() -> Lineage {
    var generator = SystemRandomNumberGenerator()
    return random(using: &generator)
  }

  public static func random(using generator: inout some RandomNumberGenerator) -> Lineage {
    Lineage(high: generator.next(), low: generator.next())
  }

  /// Reads the 32 hexadecimal digits that `description` writes; nil if they are anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 32, let high = parseHex(text.prefix(16)), let low = parseHex(text.suffix(16)) else {
      return nil
    }
    self.init(high: high, low: low)
  }

  /// 32 lower-case hexadecimal digits.
  public var description: String { hex(high) + hex(low) }
}

/// Names one epoch of one history: the same tag means the same blocks all the way back to the beginning.
public struct EpochTag: Hashable, Sendable, CustomStringConvertible {
  public var lineage: Lineage
  public var epoch: UInt64
  /// XXH3 over the chain checksum of the epoch before and the bytes of this one.
  public var chain: UInt64

  public init(lineage: Lineage, epoch: UInt64, chain: UInt64) {
    self.lineage = lineage
    self.epoch = epoch
    self.chain = chain
  }

  /// Reads what `description` writes; nil if it is anything else.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ";", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "tw1", let lineage = Lineage(parts[1]), let epoch = UInt64(parts[2]),
      let chain = parseHex(parts[3]), String(epoch) == parts[2]
    else { return nil }
    self.init(lineage: lineage, epoch: epoch, chain: chain)
  }

  /// `tw1;<lineage>;<epoch>;<chain>`, fit for commit metadata.
  public var description: String { "tw1;\(lineage);\(epoch);\(hex(chain))" }
}

private func parseHex(_ digits: some StringProtocol) -> UInt64? {
  guard digits.utf8.count == 16 else { return nil }
  var value: UInt64 = 0
  for digit in digits.utf8 {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
    default: return nil
    }
  }
  return value
}
