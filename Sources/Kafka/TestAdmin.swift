// What tests do to a cluster that the daemon never does: delete records, add partitions.

import CRdKafka
import Glibc

extension Admin {
  /// Deletes the records before each offset.
  package func deleteRecords(before offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    let list = PartitionList(offsets)
    var request: OpaquePointer? = list.with { rd_kafka_DeleteRecords_new($0) }
    defer { rd_kafka_DeleteRecords_destroy(request) }
    let replies = NativeQueue(of: client.raw)
    let options = NativeAdminOptions(
      for: RD_KAFKA_ADMIN_OP_DELETERECORDS, of: client.raw, timeoutMilliseconds: timeoutMilliseconds)
    options.with { options in replies.with { rd_kafka_DeleteRecords(client.raw, &request, 1, options, $0) } }
    let event = try wait(for: "delete records", on: replies, timeoutMilliseconds: timeoutMilliseconds)
    let error = event.with { event in
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))?.pointee.firstError(
        during: "delete records")
    }
    if let error { throw error }
  }

  /// Gives a topic more partitions.
  package func createPartitions(of topic: String, count: Int, timeoutMilliseconds: Int32) throws(KafkaError) {
    let (new, text) = withErrorText { rd_kafka_NewPartitions_new(topic, count, $0, $1) }
    guard let new else { throw KafkaError(.invalidArgument, during: "create partitions", reason: text) }
    var request: OpaquePointer? = new
    defer { rd_kafka_NewPartitions_destroy(request) }
    let replies = NativeQueue(of: client.raw)
    let options = NativeAdminOptions(
      for: RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, of: client.raw, timeoutMilliseconds: timeoutMilliseconds)
    options.with { options in replies.with { rd_kafka_CreatePartitions(client.raw, &request, 1, options, $0) } }
    let event = try wait(for: "create partitions", on: replies, timeoutMilliseconds: timeoutMilliseconds)
    let code = event.with { event in
      var found = 0
      let results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &found)
      return found > 0 ? results?[0].map { rd_kafka_topic_result_error($0) } : nil
    }
    if let code, code != RD_KAFKA_RESP_ERR_NO_ERROR {
      throw KafkaError(code, during: "create partitions of \(topic)")
    }
  }
}
