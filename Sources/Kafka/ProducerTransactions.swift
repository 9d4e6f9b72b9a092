// Transactions: five calls, each with the four outcomes its caller must tell apart.

import CRdKafka

/// What came of a transactional call, and so what to do next.
public enum TransactionOutcome: Hashable, Sendable {
  case done
  /// Make the same call again with the same arguments; above all a commit that timed out, which may have happened.
  case retry(KafkaError)
  /// Abort, and reload every task that was in the transaction.
  case abort(KafkaError)
  /// Fenced, expired or broken: this producer is unusable. End the process; its successor reads the committed tag.
  case fatal(KafkaError)

  /// The error of the three outcomes that have one.
  public var error: KafkaError? {
    switch self {
    case .done: nil
    case .retry(let error), .abort(let error), .fatal(let error): error
    }
  }

  /// Takes over librdkafka's error, which is NULL on success. The order of the questions is the one it asks for.
  init(consuming error: OpaquePointer?, during operation: String) {
    guard let error else {
      self = .done
      return
    }
    let problem = KafkaError(consuming: error, during: operation)
    if problem.requiresAbort {
      self = .abort(problem)
    } else if problem.isRetriable {
      self = .retry(problem)
    } else {
      self = .fatal(problem)
    }
  }
}

extension Producer {
  /// Registers the transactional id: fences every older producer that has it and ends what it had begun. Once, before
  /// anything else. May be repeated on `retry`.
  public func initTransactions(timeoutMilliseconds: Int32) -> TransactionOutcome {
    TransactionOutcome(
      consuming: rd_kafka_init_transactions(client.raw, max(0, timeoutMilliseconds)), during: "init transactions")
  }

  /// Begins a transaction; everything produced from now on is part of it. Does not ask the broker.
  public func beginTransaction() -> TransactionOutcome {
    let outcome = TransactionOutcome(consuming: rd_kafka_begin_transaction(client.raw), during: "begin transaction")
    if outcome == .done { isInTransaction = true }
    return outcome
  }

  /// Adds offsets, with their metadata, to the transaction: they are committed to the group if it is.
  ///
  /// - Parameter groupMetadata: captured when the assignment that the offsets belong to was accepted. When that generation
  ///   is gone the outcome is `abort`.
  public func sendOffsets(
    _ offsets: [PartitionOffset], groupMetadata: GroupMetadata, timeoutMilliseconds: Int32
  ) -> TransactionOutcome {
    guard !offsets.isEmpty else { return .done }
    let list = PartitionList(offsets)
    do throws(KafkaError) {
      let error = try groupMetadata.withNative { group in
        list.with { rd_kafka_send_offsets_to_transaction(client.raw, $0, group, max(0, timeoutMilliseconds)) }
      }
      return TransactionOutcome(consuming: error, during: "send offsets to transaction")
    } catch {
      return .abort(error)
    }
  }

  /// Waits until all records of the transaction are delivered, then commits it with its offsets.
  ///
  /// `retry` after a time-out means that nothing is known: only the same call again will tell. A record that could not be
  /// delivered makes it `abort`.
  public func commitTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    let outcome = TransactionOutcome(
      consuming: rd_kafka_commit_transaction(client.raw, max(0, timeoutMilliseconds)), during: "commit transaction")
    if outcome == .done { isInTransaction = false }
    return outcome
  }

  /// Drops what has not been sent and aborts the transaction: its records and offsets are never seen under
  /// read_committed. The records dropped count as failed in the delivery report.
  public func abortTransaction(timeoutMilliseconds: Int32) -> TransactionOutcome {
    let outcome = TransactionOutcome(
      consuming: rd_kafka_abort_transaction(client.raw, max(0, timeoutMilliseconds)), during: "abort transaction")
    if outcome == .done { isInTransaction = false }
    return outcome
  }
}
