// The daemon's own figures, from its /metrics.

import Glibc

/// The samples of a Prometheus page, by name with labels as they stand there.
public struct MetricsPage: Sendable {
  public private(set) var samples: [String: Double] = [:]

  public init(text: String) {
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else { continue }
      samples[String(line[..<space])] = value
    }
  }

  public subscript(name: String) -> Double? { samples[name] }

  /// Of all samples of that name, whatever their labels.
  public func sum(_ name: String) -> Double {
    samples.reduce(0) { $0 + ($1.key == name || $1.key.hasPrefix(name + "{") ? $1.value : 0) }
  }

  /// The upper bound of the bucket of a histogram in which a share of its values ends; nil of an empty one.
  public func histogramQuantile(_ name: String, _ share: Double) -> Double? {
    guard let count = self["\(name)_count"], count > 0 else { return nil }
    let buckets = samples.compactMap { key, value -> (bound: Double, count: Double)? in
      let prefix = "\(name)_bucket{le=\""
      guard key.hasPrefix(prefix) else { return nil }
      let bound = key.dropFirst(prefix.count).prefix { $0 != "\"" }
      return (bound == "+Inf" ? .infinity : Double(bound) ?? .infinity, value)
    }
    return buckets.sorted { $0.bound < $1.bound }.first { $0.count >= share * count }?.bound
  }

  /// Asks a daemon on this machine; nil when it does not answer.
  public static func fetch(port: UInt16) -> MetricsPage? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    guard withLoopback(port, { connect(descriptor, $0, $1) }) == 0 else { return nil }
    let request = Array("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
    guard write(descriptor, request, request.count) == request.count else { return nil }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count <= 0 { break }
      answer += buffer[..<count]
      // Some servers keep the connection all the same: the page ends with its last family's line.
      if count < buffer.count, isWhole(answer) { break }
    }
    let text = String(decoding: answer, as: UTF8.self)
    guard text.hasPrefix("HTTP/1.1 200"), let body = text.range(of: "\r\n\r\n") else { return nil }
    return MetricsPage(text: String(text[body.upperBound...]))
  }

  private static func isWhole(_ answer: [UInt8]) -> Bool {
    let text = String(decoding: answer, as: UTF8.self)
    guard let body = text.range(of: "\r\n\r\n"),
      let length = text[..<body.lowerBound].lowercased().split(separator: "\r\n").first(where: {
        $0.hasPrefix("content-length:")
      }), let bytes = Int(length.filter(\.isNumber))
    else { return false }
    return text[body.upperBound...].utf8.count >= bytes
  }

  /// A port that is free at this moment.
  public static func freePort() -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    _ = withLoopback(0) { bind(descriptor, $0, $1) }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return UInt16(bigEndian: address.sin_port)
  }

  private static func withLoopback(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
