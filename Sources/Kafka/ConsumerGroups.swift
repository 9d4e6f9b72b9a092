// Who is in a consumer group, asked from outside it.

import CRdKafka

/// One member of a consumer group, as the group's coordinator describes it.
public struct GroupMember: Hashable, Sendable {
  public var memberID: String
  public var clientID: String
  public var host: String
}

extension Admin {
  /// The members of a group; empty for one without members, and for one that does not exist.
  ///
  /// - Throws: when the brokers do not answer in time, or do not know the question.
  public func groupMembers(of group: String, timeoutMilliseconds: Int32) throws(KafkaError) -> [GroupMember] {
    let operation = "ask for the members of group \(group)"
    var answer: UnsafePointer<rd_kafka_group_list>?
    let code = rd_kafka_list_groups(client.raw, group, &answer, max(0, timeoutMilliseconds))
    guard let answer else { throw KafkaError(code, during: operation) }
    defer { rd_kafka_group_list_destroy(answer) }
    // A partial answer (not all brokers could be asked) might miss the very group.
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, during: operation) }
    guard let groups = answer.pointee.groups else { return [] }
    var members: [GroupMember] = []
    for index in 0..<Int(answer.pointee.group_cnt) {
      let found = groups[index]
      guard found.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(found.err, during: operation) }
      guard let list = found.members else { continue }
      for position in 0..<Int(found.member_cnt) {
        members.append(
          GroupMember(
            memberID: text(list[position].member_id), clientID: text(list[position].client_id),
            host: text(list[position].client_host)))
      }
    }
    return members
  }

  private func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
}
