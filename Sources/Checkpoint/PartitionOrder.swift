// Whether the directories of a state hold what their names say, and all of it.

/// Where the state of a partition was found.
public struct PartitionPlace: Sendable {
  public var directory: String
  /// As its newest block says.
  public var partition: Int32
  public var partitionCount: Int32

  /// - Parameter header: of that block.
  public init(_ directory: String, _ header: EpochHeader) {
    self.directory = directory
    partition = header.partition
    partitionCount = header.partitionCount
  }
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
      guard let named = CheckpointLayout.partition(named: place.directory), named != place.partition else { continue }
      misplaced.append(
        "\(place.directory) holds the state of partition \(place.partition): directories were mixed up. Bring back a copy "
          + "in which each has its own")
    }
    let inner = places.filter { $0.directory.count > root.count + 1 }
    let groups = Dictionary(grouping: inner) { CheckpointLayout.parent(of: $0.directory) }
    for (directory, group) in groups.sorted(by: { $0.key < $1.key }) {
      let count = group.map(\.partitionCount).max() ?? 0
      let there = Set(group.map(\.partition))
      // A count that no broker has is damage, which others report.
      let absent = (0..<min(count, 100_000)).filter { !there.contains($0) }
      if absent.isEmpty { continue }
      let names = absent.prefix(20).map(String.init).joined(separator: ", ") + (absent.count > 20 ? ", ..." : "")
      missing.append(
        "\(directory.split(separator: "/").last ?? "/"): \(absent.count == 1 ? "partition" : "partitions") \(names) of \(count) "
          + "\(absent.count == 1 ? "is" : "are") not here")
    }
  }
}
