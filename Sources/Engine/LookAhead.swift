// Asking for the memory of customers some records ahead, where a reference to their task would be counted each time.

import Customers

/// What is asked of the memory ahead of a record: each step needs what the one before has brought.
public enum PrefetchStep: Sendable {
  case index, place, record
}

/// A task as seen from ahead of its records. Good while the task stays where it is.
public struct LookAheadTarget {
  private let task: UnsafeMutablePointer<EngineTask>

  public init(_ task: UnsafeMutablePointer<EngineTask>) { self.task = task }

  /// Of the customer whose id this key is.
  public func hash(ofKey key: UnsafeRawBufferPointer) -> CustomerHash { task.pointee.customerHash(of: key) }

  public func prefetch(_ hash: CustomerHash, _ step: PrefetchStep) {
    switch step {
    case .index: task.pointee.prefetchIndex(hash.value)
    case .place: task.pointee.prefetchPlace(hash.value)
    case .record: task.pointee.prefetchRecord(hash.value)
    }
  }
}
