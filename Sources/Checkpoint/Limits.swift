// Every bound the checkpoint format puts on what it stores. A reader trusts no length beyond these.

/// Upper bounds of the checkpoint format. Exceeding one is `CheckpointError.tooLarge`, before anything is written.
public enum CheckpointLimits {
  /// Bytes of one epoch block, header, entries and outbox together: 1 GiB.
  public static let blockBytesMax = 1 << 30
  /// Bytes of one key.
  public static let keyBytesMax = 4096
  /// Bytes of one value: 16 MiB.
  public static let valueBytesMax = 16 << 20
  /// Bytes (UTF-8) of one name in a header: a topic, a version, a fingerprint.
  public static let nameBytesMax = 255
  /// The largest epoch number.
  public static let epochMax = UInt64(Int64.max)
  /// Topics in one header.
  public static let topicsMax = 256
  /// Records in one header that are still to be skipped.
  public static let skipsMax = 1024
  /// Interventions in one header.
  public static let interventionsMax = 1024

  /// A base is written in chunks of about this many bytes of entries before compression, each with its own checksum.
  static let baseChunkBytes = 1 << 20
  /// Bytes of the entries of one chunk, before compression: the last of them may be the largest there is.
  static let chunkEntryBytesMax = baseChunkBytes + Format.Entry.prefixBytes + keyBytesMax + valueBytesMax
  /// A base is synced each time this many bytes were written, so that the owner's small syncs never
  /// wait for a large one.
  static let baseSyncBytes = 32 << 20
  /// Bytes read from a file at a time.
  static let readWindowBytes = 1 << 20
}
