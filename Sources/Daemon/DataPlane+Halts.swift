// What the data plane says when it halts: what happened, where, and which command to run.

import Checkpoint
import Configuration
import Kafka

extension DataPlane {
  func commands(for partition: Int32?) -> OperatorCommands {
    OperatorCommands(settings.configuration, partition: partition)
  }

  /// The start-up table refuses.
  func text(of refusal: StartRefusal, partition: Int32, _ store: PartitionStore) -> String {
    refusal.message(commands(for: partition), hasState: store.epochs != nil, directory: store.directory)
  }

  /// An offset cannot be read.
  func textOfGap(_ topic: String, _ partition: Int32, offset: Int64) -> String {
    guard let range = try? consumer.watermarks(of: TopicPartition(topic, partition), timeoutMilliseconds: 5_000) else {
      return
        "offset \(offset) of \(topic) [\(partition)] cannot be read, and the broker does not say what there is. Stop "
        + "the daemon and run \(commands(for: partition).recover(.skipGap)). \(OperatorCommands.afterwards)"
    }
    return Gap.message(
      [Gap(topic: topic, next: offset, available: range)], commands(for: partition), partition: partition)
  }
}
