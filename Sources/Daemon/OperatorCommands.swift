// The commands that messages tell an operator to run, spelled so that they can be pasted into a shell as they stand.

import Configuration

/// Commands about one partition of one configuration.
public struct OperatorCommands: Hashable, Sendable {
  public var configurationFile: String
  /// nil for what concerns all partitions.
  public var partition: Int32?

  public init(configurationFile: String, partition: Int32?) {
    self.configurationFile = configurationFile
    self.partition = partition
  }

  public init(_ configuration: Configuration, partition: Int32?) {
    self.init(configurationFile: configuration.file, partition: partition)
  }

  /// `tidewatch recover --adopt-disk --partition 3 --config FILE`, in backquotes.
  public func recover(_ option: RecoveryOption, more: String = "") -> String {
    let chosen = partition.map { " --partition \($0)" } ?? ""
    return "`tidewatch recover \(option.rawValue)\(more)\(chosen)\(configuration)`"
  }

  public var run: String { "`tidewatch run\(configuration)`" }

  public var check: String { "`tidewatch check\(configuration)`" }

  /// What every message says after the command.
  public static let afterwards = "It shows what it would do, and does it with --yes"

  private var configuration: String {
    configurationFile.isEmpty ? "" : " --config \(Self.quoted(configurationFile))"
  }

  /// One word for a shell.
  static func quoted(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (64...90).contains(byte) || (97...122).contains(byte)
        || [UInt8](arrayLiteral: 43, 44, 45, 46, 47, 58, 61, 95).contains(byte)
    }
    if plain, !text.isEmpty { return text }
    return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}

/// What `tidewatch recover` can be told to do.
public enum RecoveryOption: String, Hashable, Sendable, CaseIterable {
  case adoptDisk = "--adopt-disk"
  case acceptOffsets = "--accept-offsets"
  case skipGap = "--skip-gap"
}
