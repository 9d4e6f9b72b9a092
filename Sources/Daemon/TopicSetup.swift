// The topics before anything is read: they exist, the inputs have equal partition counts, and what is missing is created
// where the configuration allows it.

import Configuration
import Kafka

/// What is to be done about the topics. Pure: decided from what the cluster says.
public struct TopicPlan: Sendable, Hashable {
  /// Partitions of every input.
  public var partitionCount: Int32
  public var missing: [String]

  /// - Throws: `TopicProblem` when the inputs cannot be read as they are.
  public init(_ configuration: Configuration, found: [String: Int32]) throws(TopicProblem) {
    let inputs = configuration.inputs.map(\.topic)
    let counts = inputs.compactMap { name in found[name].map { (name, $0) } }
    if Set(counts.map(\.1)).count > 1 {
      let list = counts.map { "\($0.0) has \($0.1)" }.joined(separator: ", ")
      throw TopicProblem(
        text: "the inputs differ in their partition counts (\(list)): partition n of all of them is one task, so a "
          + "customer's records must be on the same partition everywhere")
    }
    partitionCount = counts.first?.1 ?? Int32(configuration.kafka.partitions)
    let all = inputs + configuration.outputs.enabled.map(\.topic)
    missing = all.filter { found[$0] == nil }
  }
}

/// The topics are not as they must be.
public struct TopicProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public var text: String
  public init(text: String) { self.text = text }
  public var description: String { text }

  /// The topics that are missing, each with the command that creates it.
  static func missing(_ names: [String], partitions: Int32, _ configuration: Configuration) -> TopicProblem {
    let replication =
      configuration.kafka.replication > 0 ? " --replication-factor \(configuration.kafka.replication)" : ""
    let commands = names.map { name in
      "  kafka-topics.sh --bootstrap-server \(configuration.kafka.bootstrap) --create --topic \(name) "
        + "--partitions \(partitions)\(replication)"
        + (name == configuration.outputs.customerProfiles.topic ? " --config cleanup.policy=compact" : "")
    }
    return TopicProblem(
      text: "missing topics: \(names.joined(separator: ", ")). Create them, or set kafka.create_topics: true\n"
        + commands.joined(separator: "\n"))
  }
}

enum TopicSetup {
  enum Failure: Error {
    case kafka(KafkaError)
    case problem(TopicProblem)
  }

  /// One attempt. A `.kafka` failure that is retriable is worth another.
  static func run(_ admin: Admin, _ configuration: Configuration, log: Log) throws(Failure) -> TopicPlan {
    var plan = try look(admin, configuration)
    if plan.missing.isEmpty { return plan }
    guard configuration.kafka.createTopics else {
      throw .problem(.missing(plan.missing, partitions: plan.partitionCount, configuration))
    }
    let specifications = plan.missing.map { name in
      let isProfiles = name == configuration.outputs.customerProfiles.topic
      return TopicSpecification(
        name: name, partitionCount: plan.partitionCount, replicationFactor: Int32(configuration.kafka.replication),
        configuration: isProfiles ? ["cleanup.policy": "compact"] : [:])
    }
    do throws(KafkaError) {
      for result in try admin.createTopics(specifications, timeoutMilliseconds: 30_000) {
        // Another member was faster.
        guard let error = result.error, error.code != .topicAlreadyExists else {
          log.info("created topic \(result.name) with \(plan.partitionCount) partitions")
          continue
        }
        throw error
      }
    } catch { throw .kafka(error) }
    plan = try look(admin, configuration)
    guard plan.missing.isEmpty else {
      throw .kafka(
        KafkaError(.timedOut, during: "wait for the created topics", reason: "not yet visible", isRetriable: true))
    }
    return plan
  }

  /// What is there and what is missing.
  static func look(_ admin: Admin, _ configuration: Configuration) throws(Failure) -> TopicPlan {
    let names = configuration.inputs.map(\.topic) + configuration.outputs.enabled.map(\.topic)
    let metadata: [TopicMetadata]
    do throws(KafkaError) { metadata = try admin.topicMetadata(names, timeoutMilliseconds: 5_000) } catch {
      throw .kafka(error)
    }
    var found: [String: Int32] = [:]
    for topic in metadata {
      if topic.exists {
        found[topic.name] = topic.partitionCount
      } else if let error = topic.error, !topic.isMissing {
        throw .kafka(error)
      }
    }
    do throws(TopicProblem) { return try TopicPlan(configuration, found: found) } catch { throw .problem(error) }
  }
}

extension Daemon {
  /// Makes the clients that a run would make, which wait for nobody, and lets them go: librdkafka looks at its properties
  /// together only then.
  /// - Throws: what is wrong with `kafka.properties`.
  public static func checkClients(_ configuration: Configuration) throws(KafkaError) {
    let kafka = try kafkaConfiguration(configuration)
    _ = try Consumer(kafka, ConsumerOptions(groupID: configuration.kafka.group))
    _ = try Producer(kafka, producerOptions(configuration))
  }

  /// What the cluster has of the topics of a configuration; for `tidewatch check --kafka`. Changes nothing.
  public static func checkTopics(_ configuration: Configuration) -> Result<TopicPlan, TopicProblem> {
    do {
      let admin = try Admin(kafkaConfiguration(configuration))
      let plan: TopicPlan
      do throws(TopicSetup.Failure) { plan = try TopicSetup.look(admin, configuration) } catch {
        guard case .kafka(let failure) = error else { throw error }
        return .failure(TopicProblem(text: "\(failure)\(admin.drainEvents().textOfBrokers)"))
      }
      if !plan.missing.isEmpty, !configuration.kafka.createTopics {
        return .failure(.missing(plan.missing, partitions: plan.partitionCount, configuration))
      }
      return .success(plan)
    } catch let failure as TopicSetup.Failure {
      switch failure {
      case .kafka(let error): return .failure(TopicProblem(text: "\(error)"))
      case .problem(let problem): return .failure(problem)
      }
    } catch { return .failure(TopicProblem(text: "\(error)")) }
  }
}

extension DrainedEvents {
  /// What a broker said last of why it is not reached (a certificate, a password, a closed port), for the end of a message;
  /// empty where none did. A call that waits in vain knows only that time was up.
  var textOfBrokers: String {
    let reasons = events.compactMap { event -> String? in
      if case .brokerError(let error) = event { error.reason } else { nil }
    }
    return reasons.last.map { ". Kafka's client says: \($0)" } ?? ""
  }
}
