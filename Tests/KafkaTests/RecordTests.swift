// Records there and back: bytes, nulls, headers, timestamps, ends, lost ranges; and that a long run keeps no memory.

import Glibc
import Kafka
import Testing

extension KafkaTests {
  @Suite struct Records {
    @Test func bytesHeadersAndTimestampsSurvive() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("records")
      let producer = try broker.producer()
      let opened = try producer.topic(topic)
      var headers = RecordHeaders(capacity: 1)
      // A recent time: brokers may refuse what is far from now.
      let time = Int64(time(nil)) * 1_000 - 12_345

      let key: [UInt8] = [0, 255, 10, 0]
      let value = (0..<2_000).map { UInt8(truncatingIfNeeded: $0) }
      headers.append("ce_id", "id-1")
      headers.append("x", "")
      try key.withUnsafeBytes { key in
        try value.withUnsafeBytes { value in
          headers.append("bytes", value)
          headers.append("nothing", nil)
          try producer.produce(
            to: opened, partition: 0, key: key, value: value, headers: headers, timestampMilliseconds: time)
        }
      }
      headers.removeAll()
      headers.append("second", "2")
      try producer.produce(to: opened, partition: 0, key: nil, value: nil, headers: headers)
      let empty = UnsafeRawBufferPointer(start: nil, count: 0)
      try producer.produce(to: opened, partition: 0, key: empty, value: empty)
      try producer.flush(timeoutMilliseconds: 30_000)
      #expect(producer.takeDeliveryReport() == DeliveryReport(delivered: 3, failed: 0, firstFailure: nil))
      #expect(producer.takeDeliveryReport().delivered == 0)

      let consumer = try broker.consumer()
      try consumer.assign([PartitionOffset(topic, 0, offset: 0)])
      var index: Int64 = 0
      try consumer.pollUntil("three records") { item in
        guard item.isRecord else { return item.kind == .endOfPartition && index == 3 }
        #expect(item.offset == index)
        #expect(item.topicName == topic)
        #expect(item.error == nil)
        var found: [String: [UInt8]?] = [:]
        item.forEachHeader { name, value in
          found[String(decoding: name, as: UTF8.self)] = .some(value.map { Array($0) })
        }
        switch index {
        case 0:
          #expect(item.key.map { Array($0) } == key)
          #expect(item.value.map { Array($0) } == value)
          #expect(item.timestampMilliseconds == time)
          #expect(!item.isLogAppendTime)
          let expected: [String: [UInt8]?] = ["ce_id": Array("id-1".utf8), "x": [], "bytes": value, "nothing": nil]
          #expect(found == expected)
        case 1:
          #expect(item.key == nil)
          #expect(item.value == nil)
          #expect(found == ["second": Array("2".utf8)])
          // Produced without a time: stamped with now.
          #expect((item.timestampMilliseconds ?? 0) > time)
        default:
          // An empty key and value are not null ones.
          #expect(item.key?.count == 0)
          #expect(item.value?.count == 0)
          #expect(found.isEmpty)
        }
        index += 1
        return false
      }
      #expect(index == 3)
      #expect(try consumer.position(of: TopicPartition(topic, 0)) == 3)
    }

    @Test func topicIndexFollowsTheSubscription() throws {
      let broker = try TestBroker()
      let topics = [
        try broker.newTopic("b-clicks"), try broker.newTopic("a-orders"), try broker.newTopic("c-customers"),
      ]
      let producer = try broker.producer()
      for (index, topic) in topics.enumerated() { try producer.sendAll(topic, 0, ["\(index)"]) }
      let consumer = try broker.consumer()
      let metadata = try consumer.subscribe(to: topics)
      #expect(metadata.map(\.name) == topics)
      #expect(metadata.allSatisfy { $0.exists && $0.partitionCount == 1 })
      #expect(consumer.topics == topics)
      #expect(consumer.memberID == nil)
      #expect(Set(try consumer.join()) == Set(topics.map { TopicPartition($0, 0) }))
      #expect(consumer.memberID != nil)
      #expect(consumer.rebalanceProtocol == "EAGER")
      #expect(!consumer.isAssignmentLost)
      var seen = Set<String>()
      try consumer.pollUntil("a record of each topic") { item in
        if item.isRecord {
          #expect(item.value.text == "\(item.topicIndex)")
          #expect(item.topicName == topics[item.topicIndex])
          seen.insert(item.value.text ?? "")
        }
        return seen.count == 3
      }
      try consumer.close()
      try consumer.close()
    }

    @Test func endOfPartitionAndPosition() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("eof")
      let partition = TopicPartition(topic, 0)
      let consumer = try broker.consumer()
      #expect(try consumer.readToEnd(partition) == ([], 0))
      #expect(try consumer.position(of: partition) == nil)
      let producer = try broker.producer()
      try producer.sendAll(topic, 0, ["a", "b", "c"])
      // The same assignment goes on, and reports the new end.
      var values: [String] = []
      try consumer.pollUntil("the new end") { item in
        if item.isRecord { values.append(item.value.text ?? "") }
        return item.kind == .endOfPartition && item.offset == 3
      }
      #expect(values == ["a", "b", "c"])
      #expect(consumer.cachedWatermarks(of: partition)?.latest == 3)
      #expect(try consumer.watermarks(of: partition, timeoutMilliseconds: 10_000) == Watermarks(earliest: 0, latest: 3))
      #expect(
        try consumer.earliestOffsets(of: [partition], timeoutMilliseconds: 10_000)
          == [PartitionOffset(partition, offset: 0)])
      #expect(
        try consumer.latestOffsets(of: [partition], timeoutMilliseconds: 10_000)
          == [PartitionOffset(partition, offset: 3)])
      // Going back is a new assignment, never a seek.
      #expect(try consumer.readToEnd(partition, from: 1).records.map(\.offset) == [1, 2])
    }

    @Test func outOfRangeNamesWhatIsLost() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("range")
      try broker.producer().sendAll(topic, 0, ["a", "b"])
      let consumer = try broker.consumer()
      try consumer.assign([PartitionOffset(topic, 0, offset: 1_000)])
      var lost: LostRange?
      try consumer.pollUntil("out of range") { item in
        #expect(!item.isRecord)
        guard item.kind == .outOfRange else { return false }
        #expect(item.offset == 1_000)
        #expect(item.error?.code == .outOfRange)
        lost = try consumer.lostRange(from: item, timeoutMilliseconds: 10_000)
        return true
      }
      #expect(lost?.partition == TopicPartition(topic, 0))
      #expect(lost?.requested == 1_000)
      #expect(lost?.available == Watermarks(earliest: 0, latest: 2))
      #expect(lost?.deleted == nil)
    }

    /// Only the embedded broker forgets so soon: it keeps 100,000 records or 5 MB of a partition.
    @Test(.enabled(if: !TestBroker.isReal)) func deletedRecordsAreNamed() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("retention")
      let producer = try broker.producer()
      let opened = try producer.topic(topic)
      var generator = SplitMix64(state: 3)
      let payload = (0..<100_000).map { _ in UInt8.random(in: 0 ... .max, using: &generator) }  // Not compressible.
      for _ in 0..<80 {
        try payload.withUnsafeBytes { try producer.produce(to: opened, partition: 0, key: nil, value: $0) }
        try producer.flush(timeoutMilliseconds: 30_000)  // One batch each, for the broker drops whole batches.
      }
      let consumer = try broker.consumer()
      try consumer.assign([PartitionOffset(topic, 0, offset: 0)])
      var lost: LostRange?
      try consumer.pollUntil("out of range") { item in
        guard item.kind == .outOfRange else { return false }
        lost = try consumer.lostRange(from: item, timeoutMilliseconds: 10_000)
        return true
      }
      let found = try #require(lost)
      #expect(found.available.earliest > 0)
      #expect(found.deleted == 0..<found.available.earliest)
      #expect(found.description.contains("\(topic) [0]: offsets 0 to \(found.available.earliest - 1)"))
    }

    /// Going back in mid-stream, as after an abort: the records that were fetched ahead must not be taken for a legal gap.
    @Test func reassigningInMidStreamStartsExactlyThere() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("rewind", partitionCount: 2)
      let producer = try broker.producer()
      for index in 0..<10_000 { try producer.send(topic, Int32(index % 2), key: nil, value: "\(index / 2)") }
      try producer.flush(timeoutMilliseconds: 30_000)
      let consumer = try broker.consumer()
      var batch = MessageBatch(capacity: 300)
      var generator = SplitMix64(state: 11)
      for round in 0..<60 {
        var next = (0..<2).map { _ in Int64.random(in: 0..<4_000, using: &generator) }
        try consumer.assign((0..<2).map { PartitionOffset(topic, Int32($0), offset: next[$0]) })
        let wanted = Int.random(in: 1...2_000, using: &generator)
        var read = 0
        let end = ContinuousClock.now + .seconds(60)
        while read < wanted {
          try #require(ContinuousClock.now < end)
          _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
          for index in 0..<batch.count where batch[index].isRecord {
            let item = batch[index]
            let expected = next[Int(item.partition)]
            guard item.offset >= expected else { continue }  // As every caller must.
            try #require(item.offset == expected, "round \(round), partition \(item.partition)")
            next[Int(item.partition)] += 1
            read += 1
          }
        }
      }
    }

    @Test func assignWantsExplicitOffsets() throws {
      let consumer = try TestBroker().consumer()
      let error = #expect(throws: KafkaError.self) { try consumer.assign([PartitionOffset("t", 0, offset: -2)]) }
      #expect(error?.code == .invalidArgument)
    }

    @Test func batchOutlivesItsConsumer() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("outlive")
      try broker.producer().sendAll(topic, 0, ["a", "b", "c"])
      var batch = MessageBatch(capacity: 2)
      do {
        let consumer = try broker.consumer()
        try consumer.assign([PartitionOffset(topic, 0, offset: 0)])
        while batch.count < 2 { _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100) }
        try consumer.close()
      }
      #expect(batch[0].value.text == "a")
      #expect(batch[1].value.text == "b")
      batch.release()
      let isEmpty = batch.isEmpty
      #expect(isEmpty)
    }

    /// The resident memory after reading the same records again and again must not grow with their number.
    @Test func longRunKeepsNoMemory() throws {
      let broker = try TestBroker()
      let topic = try broker.newTopic("long", partitionCount: 4)
      let producer = try broker.producer()
      let opened = try producer.topic(topic)
      var headers = RecordHeaders()
      let total = 24_000
      for index in 0..<total {
        headers.removeAll()
        headers.append("ce_type", "tag-change")
        try "customer-\(index)".withBytes { (key) throws(KafkaError) in
          try producer.produce(to: opened, partition: Int32(index % 4), key: key, value: key, headers: headers)
        }
      }
      try producer.flush(timeoutMilliseconds: 60_000)
      #expect(producer.takeDeliveryReport() == DeliveryReport(delivered: total, failed: 0, firstFailure: nil))

      let consumer = try broker.consumer()
      var batch = MessageBatch()
      var sizes: [Int] = []
      var read = 0
      for round in 0..<12 {
        try consumer.assign((0..<4).map { PartitionOffset(topic, $0, offset: 0) })
        var next = [Int64](repeating: 0, count: 4)
        let end = ContinuousClock.now + .seconds(60)
        while next.reduce(0, +) < Int64(total) {
          try #require(ContinuousClock.now < end)
          _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
          for index in 0..<batch.count where batch[index].isRecord {
            let item = batch[index]
            // Records of the assignment before may still come: drop what is not the one expected.
            guard item.offset == next[Int(item.partition)] else { continue }
            next[Int(item.partition)] += 1
            read += item.value?.isEmpty == false ? 1 : 0
          }
        }
        if round >= 3 { sizes.append(residentBytes()) }
      }
      batch.release()
      #expect(read == 12 * total)
      // 216,000 records were read between the first size and the last. Kept, they would be 50 MB at the least.
      let first = try #require(sizes.first)
      let last = try #require(sizes.last)
      #expect(last - first < 20_000_000, "resident memory: \(sizes)")
    }
  }
}

/// The resident memory of this process, in bytes.
private func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var text = [CChar](repeating: 0, count: 128)
  guard fgets(&text, Int32(text.count), file) != nil else { return 0 }
  let fields = String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
  return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * sysconf(Int32(_SC_PAGESIZE))
}
