// What values of one kind are put together from, so that many of them can be stored field by field.

/// The parts that values consist of, one behind the other. The first part is of fixed length; what it says tells how many
/// elements the others have.
///
/// A value that turns out to have another length than its parts is stored whole: a shape is about space, not about meaning.
public struct ValueShape: Hashable, Sendable {
  public enum Part: Hashable, Sendable {
    /// The same number of bytes in each value.
    case fixed(bytes: Int)
    /// Elements of `stride` bytes, as many as the UInt16 at `countAt` of the value says.
    case elements(countAt: Int, stride: Int)
    /// So many bytes if the byte at `flagsAt` of the value has a bit of `mask`, otherwise none.
    case optional(flagsAt: Int, mask: UInt8, bytes: Int)
  }

  /// The first byte of the keys whose values have this shape.
  public let keyPrefix: UInt8
  let parts: [PackedPart]

  /// Nil for what cannot be: no part of fixed length to begin with, or one that names bytes behind that; more than 32 parts;
  /// parts, or their elements, of no byte or more than 4,096.
  public init?(keyPrefix: UInt8, parts: [Part]) {
    guard let packed = PackedPart.checked(parts.compactMap(PackedPart.init)), packed.count == parts.count else {
      return nil
    }
    self.keyPrefix = keyPrefix
    self.parts = packed
  }
}

/// A part as a run of entries has it: 6 bytes.
struct PackedPart: Hashable, Sendable {
  enum Kind: UInt8 {
    case fixed = 0
    case elements = 1
    case optional = 2
  }

  static let bytes = 6
  static let countMax = 32
  static let strideMax = 4096

  var kind: Kind
  /// `optional`: the bits.
  var mask: UInt8 = 0
  /// Where its count or its flags are.
  var at: UInt16 = 0
  /// Bytes of an element; a part that is not `elements` has one at most.
  var stride: UInt16

  init?(_ part: ValueShape.Part) {
    switch part {
    case .fixed(let bytes): self.init(.fixed, stride: bytes)
    case .elements(let at, let stride): self.init(.elements, at: at, stride: stride)
    case .optional(let at, let mask, let bytes): self.init(.optional, mask: mask, at: at, stride: bytes)
    }
  }

  private init?(_ kind: Kind, mask: UInt8 = 0, at: Int = 0, stride: Int) {
    guard let at = UInt16(exactly: at), let stride = UInt16(exactly: stride) else { return nil }
    self.kind = kind
    self.mask = mask
    self.at = at
    self.stride = stride
  }

  /// `bytes` in each value.
  init(fixed bytes: UInt16) {
    kind = .fixed
    stride = bytes
  }

  init?(_ bytes: UnsafeRawBufferPointer) {
    guard let kind = Kind(rawValue: bytes[0]) else { return nil }
    self.kind = kind
    mask = bytes[1]
    at = bytes.load(UInt16.self, at: 2)
    stride = bytes.load(UInt16.self, at: 4)
  }

  func append(to buffer: inout RawBuffer) {
    buffer.append(kind.rawValue)
    buffer.append(mask)
    buffer.append(at)
    buffer.append(stride)
  }

  /// The parts, if they make sense together.
  static func checked(_ parts: [PackedPart]) -> [PackedPart]? {
    guard let first = parts.first, first.kind == .fixed, parts.count <= countMax else { return nil }
    for part in parts {
      guard (1...strideMax).contains(Int(part.stride)) else { return nil }
      switch part.kind {
      case .fixed: guard part.at == 0, part.mask == 0 else { return nil }
      case .elements: guard Int(part.at) + 2 <= Int(first.stride), part.mask == 0 else { return nil }
      case .optional: guard part.at < first.stride, part.mask != 0 else { return nil }
      }
    }
    return parts
  }

  /// Elements that a value has, of which `head` is the first part.
  @inline(__always)
  func count(in head: UnsafeRawPointer) -> Int {
    switch kind {
    case .fixed: 1
    case .elements: Int(UInt16(littleEndian: head.loadUnaligned(fromByteOffset: Int(at), as: UInt16.self)))
    case .optional: head.load(fromByteOffset: Int(at), as: UInt8.self) & mask != 0 ? 1 : 0
    }
  }

  /// Bytes of those.
  @inline(__always)
  func bytes(in head: UnsafeRawPointer) -> Int { count(in: head) * Int(stride) }
}
