// What a recovery needs of Kafka: to look at a group and to commit for it while nobody is in it.

import Configuration
import Kafka

/// Confined to one thread.
public protocol RecoveryPort: AnyObject {
  /// Who is in the group, each as a person would name it; nil where the broker cannot be asked.
  func members(timeoutMilliseconds: Int32) throws(KafkaError) -> [String]?
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset]
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks
  /// Refused with `unknownMember` or `rebalanceInProgress` while the group has members.
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError)
  func sleep(milliseconds: Int32)
}

/// The real one: a consumer with the group's id that never joins it.
final class KafkaRecoveryPort: RecoveryPort {
  private let consumer: Consumer
  private let admin: Admin
  private let group: String
  private let wall = SystemWall()

  init(_ kafka: KafkaConfiguration, admin: Admin, group: String) throws(KafkaError) {
    consumer = try Consumer(kafka, ConsumerOptions(groupID: group))
    self.admin = admin
    self.group = group
  }

  func members(timeoutMilliseconds: Int32) throws(KafkaError) -> [String]? {
    do throws(KafkaError) {
      return try admin.groupMembers(of: group, timeoutMilliseconds: timeoutMilliseconds).map {
        "\($0.clientID) at \($0.host)"
      }
    } catch {
      // Not every broker answers this (the embedded one does not); a commit is refused all the same.
      if error.isRetriable { throw error }
      return nil
    }
  }
  func committed(for partitions: [TopicPartition], timeoutMilliseconds: Int32) throws(KafkaError) -> [CommittedOffset] {
    try consumer.committed(for: partitions, timeoutMilliseconds: timeoutMilliseconds)
  }
  func watermarks(of partition: TopicPartition, timeoutMilliseconds: Int32) throws(KafkaError) -> Watermarks {
    try consumer.watermarks(of: partition, timeoutMilliseconds: timeoutMilliseconds)
  }
  func commitSync(_ offsets: [PartitionOffset], timeoutMilliseconds: Int32) throws(KafkaError) {
    try consumer.commitSync(offsets, timeoutMilliseconds: timeoutMilliseconds)
  }
  func sleep(milliseconds: Int32) { wall.sleep(milliseconds: milliseconds) }
}

extension Recovery {
  /// A recovery on the brokers and the disk of a configuration, and how many partitions its inputs have.
  /// - Throws: `RecoveryError.kafka`, `.topics`.
  public static func open(_ configuration: Configuration) throws(RecoveryError) -> Recovery {
    do {
      let kafka = try Daemon.kafkaConfiguration(configuration)
      let admin = try Admin(kafka)
      let plan = try TopicSetup.look(admin, configuration)
      let inputs = configuration.inputs.map(\.topic)
      if let missing = plan.missing.first(where: inputs.contains) {
        throw RecoveryError.topics("the input \(missing) does not exist")
      }
      let port = try KafkaRecoveryPort(kafka, admin: admin, group: configuration.kafka.group)
      return Recovery(configuration, port: port, partitionCount: plan.partitionCount)
    } catch let error as RecoveryError {
      throw error
    } catch let error as KafkaError {
      throw .kafka(error)
    } catch let failure as TopicSetup.Failure {
      switch failure {
      case .kafka(let error): throw .kafka(error)
      case .problem(let problem): throw .topics("\(problem)")
      }
    } catch { throw .topics("\(error)") }
  }
}
