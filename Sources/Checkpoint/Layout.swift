// Names of files and directories.

import Glibc

/// Where the checkpoint of a partition is kept.
public enum CheckpointLayout {
  /// `<stateDirectory>/<name>/p<partition>`. Bytes of `name` that are no letter, digit, `-`, `_` or inner `.`
  /// become `%XX`, so that any consumer group's name is one directory, its own.
  public static func directory(state stateDirectory: String, name: String, partition: Int32) -> String {
    join(join(stateDirectory, escape(name)), "p\(partition)")
  }

  static func escape(_ name: String) -> String {
    var result = ""
    for (position, byte) in name.utf8.enumerated() {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        result.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: ".") where position > 0: result += "."
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return result.isEmpty ? "%" : result
  }

  /// The partition directories at or below `path` (itself, its children or theirs), sorted by name and then number.
  public static func partitions(under path: String, on disk: any Disk = PosixDisk()) throws(DiskError) -> [String] {
    func look(_ directory: String, depth: Int) throws(DiskError) -> [String] {
      let names = try disk.list(directory)
      if names.contains(where: { FileName($0) != nil || $0 == lockName }) { return [directory] }
      if depth == 0 { return [] }
      var found: [String] = []
      for name in names.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
        // What `fsck` makes on a volume of its own is root's.
        if name == "lost+found" { continue }
        do { found += try look(join(directory, name), depth: depth - 1) } catch {
          // A plain file among the directories is not ours; and something may go while it is looked at.
          if error.code != ENOTDIR, error.code != ENOENT { throw error }
        }
      }
      return found
    }
    return try look(path, depth: 2)
  }

  /// The partition whose directory this is by its name; nil for one of another form.
  public static func partition(named directory: String) -> Int32? {
    let name = directory.split(separator: "/").last ?? ""
    guard name.first == "p", let number = Int32(name.dropFirst()), name == "p\(number)" else { return nil }
    return number
  }

  /// The directory that holds a file or a directory: a group's, of one of its partitions.
  public static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static let lockName = "lock"

  static func join(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : directory + "/" + name
  }
}

/// `base-<epoch>.tw`, `log-<first epoch>.tw`, or either with `.tmp` while it is being made.
struct FileName: Hashable {
  enum Kind: String { case base, log }
  var kind: Kind
  var epoch: UInt64
  var isTemporary = false

  init(_ kind: Kind, _ epoch: UInt64) {
    self.kind = kind
    self.epoch = epoch
  }

  /// Nil for a name this module did not make.
  init?(_ name: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2 || (parts.count == 3 && parts[2] == "tmp"), parts[1] == "tw" else { return nil }
    let words = parts[0].split(separator: "-", omittingEmptySubsequences: false)
    guard words.count == 2, let kind = Kind(rawValue: String(words[0])), let epoch = UInt64(words[1]),
      epoch <= CheckpointLimits.epochMax
    else { return nil }
    self.init(kind, epoch)
    isTemporary = parts.count == 3
    // Two spellings of one number must not be two files of one epoch.
    if text != name { return nil }
  }

  /// At least twelve digits, so that a listing is in order.
  var text: String {
    let digits = String(epoch)
    let zeros = String(repeating: "0", count: max(0, 12 - digits.utf8.count))
    return "\(kind.rawValue)-\(zeros)\(digits).tw\(isTemporary ? ".tmp" : "")"
  }
}
