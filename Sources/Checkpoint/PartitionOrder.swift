// Whether the directories of a state hold what their names say, and all of it.

/// Where the state of a partition was found.
public struct PartitionPlace: Hashable, Sendable {
  public var directory: String
  /// As its newest block says.
  public var partition: Int32
  public var partitionCount: Int32

  public init(directory: String, partition: Int32, partitionCount: Int32) {
    self.directory = directory
    self.partition = partition
    self.partitionCount = partitionCount
  }

  init(_ directory: String, _ header: EpochHeader) {
    self.init(directory: directory, partition: header.partition, partitionCount: header.partitionCount)
  }

  /// The number in the directory's name; nil for one of another form.
  fileprivate var named: Int32? {
    let name = directory.split(separator: "/").last ?? ""
    guard name.first == "p", let number = Int32(name.dropFirst()), name == "p\(number)" else { return nil }
    return number
  }

  fileprivate var parent: String { directory.split(separator: "/").dropLast().joined(separator: "/") }
}

/// What is wrong with a state as a whole though each partition is sound.
public struct PartitionOrder: Sendable {
  /// One sentence for each directory that holds another partition than its name says: going on would mix customers up.
  public private(set) var misplaced: [String] = []
  /// One for each group of which partitions are not there. They may never have been, or belong to another member's disk.
  public private(set) var missing: [String] = []

  /// - Parameter root: what was looked through; where it is a partition's own directory, no others are missed.
  public init(_ places: [PartitionPlace], under root: String) {
    for place in places {
      guard let named = place.named, named != place.partition else { continue }
      misplaced.append(
        "\(place.directory) holds the state of partition \(place.partition): directories were mixed up. Bring back a copy "
          + "in which each has its own")
    }
    let inner = places.filter { $0.directory.count > root.count + 1 }
    for (_, group) in Dictionary(grouping: inner, by: \.parent).sorted(by: { $0.key < $1.key }) {
      let count = group.map(\.partitionCount).max() ?? 0
      let there = Set(group.map(\.partition))
      // A count that no broker has is damage, which others report.
      let absent = (0..<min(count, 100_000)).filter { !there.contains($0) }
      guard !absent.isEmpty, let directory = group.first?.directory.split(separator: "/").dropLast().last else {
        continue
      }
      let names = absent.prefix(20).map(String.init).joined(separator: ", ") + (absent.count > 20 ? ", ..." : "")
      missing.append(
        "\(directory): \(absent.count == 1 ? "partition" : "partitions") \(names) of \(count) "
          + "\(absent.count == 1 ? "is" : "are") not here")
    }
  }
}
