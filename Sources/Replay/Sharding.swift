// Which engine thread has which customers.

package enum Sharding {
  /// Of `count` threads, the one that has the customers of this hash: by its lower half, as within a task the upper
  /// half says where a customer lies.
  @inline(__always)
  package static func thread(of hash: UInt64, among count: Int) -> Int {
    Int(truncatingIfNeeded: ((hash & 0xFFFF_FFFF) &* UInt64(truncatingIfNeeded: count)) >> 32)
  }
}
