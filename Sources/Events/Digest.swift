// SHA-256 of a record's original bytes, for dead letters.

import CCrypto

/// The SHA-256 of `bytes` in 64 lower-case hex digits.
public func sha256Hex(_ bytes: UnsafeRawBufferPointer) -> String {
  withUnsafeTemporaryAllocation(byteCount: Int(SHA256_DIGEST_LENGTH), alignment: 1) { digest in
    SHA256(
      bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
      digest.baseAddress?.assumingMemoryBound(to: UInt8.self))
    let hex = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [hex[Int($0 >> 4)], hex[Int($0 & 15)]] }, as: UTF8.self)
  }
}
