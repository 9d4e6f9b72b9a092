// HTTP on loopback: /livez, /readyz with reasons, /metrics. Reads snapshots, touches nothing else.
// The full admin API comes later; its routes belong here.

import Configuration
import FlyingFox
import FlyingSocks
import Foundation
import Handoff

package struct AdminServer: Sendable {
  /// After this long without a turn of the data plane, /livez says so.
  static let silenceBound: Int64 = 60_000_000

  let address: Configuration.Admin.Address
  let published: Shared<DaemonSnapshot>

  package init(address: Configuration.Admin.Address, published: Shared<DaemonSnapshot>) {
    self.address = address
    self.published = published
  }

  /// What a request is answered with, without any HTTP: what the tests look at.
  package struct Answer: Sendable, Equatable {
    package var status: Int
    package var contentType: String
    package var body: String
  }

  package static func livez(_ snapshot: DaemonSnapshot, nowMonotonic: Int64) -> Answer {
    let silence = nowMonotonic - snapshot.beat
    guard snapshot.beat == 0 || silence < silenceBound else {
      return Answer(
        status: 503, contentType: "text/plain; charset=utf-8",
        body: "the data plane has not gone round for \(silence / 1_000_000) s\n")
    }
    return Answer(status: 200, contentType: "text/plain; charset=utf-8", body: "ok\n")
  }

  package static func readyz(_ snapshot: DaemonSnapshot) -> Answer {
    struct Body: Encodable {
      struct Reason: Encodable {
        var code: String
        var detail: String
      }
      var ready: Bool
      var reasons: [Reason]
    }
    let reasons = snapshot.reasons.map { Body.Reason(code: $0.code, detail: $0.detail) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = (try? encoder.encode(Body(ready: reasons.isEmpty, reasons: reasons))) ?? Data("{}".utf8)
    return Answer(
      status: reasons.isEmpty ? 200 : 503, contentType: "application/json",
      body: String(decoding: data, as: UTF8.self) + "\n")
  }

  package static func metrics(_ snapshot: DaemonSnapshot, nowMonotonic: Int64) -> Answer {
    Answer(
      status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
      body: Metrics.text(snapshot, nowMonotonic: nowMonotonic))
  }

  /// Serves until cancelled.
  package func run() async throws {
    let server = try makeServer()
    await serve("/livez", by: server) { Self.livez($0, nowMonotonic: $1) }
    await serve("/readyz", by: server) { snapshot, _ in Self.readyz(snapshot) }
    await serve("/metrics", by: server) { Self.metrics($0, nowMonotonic: $1) }
    try await server.run()
  }

  private func serve(
    _ path: String, by server: HTTPServer,
    _ answer: @escaping @Sendable (_ snapshot: DaemonSnapshot, _ nowMonotonic: Int64) -> Answer
  ) async {
    let published = published
    await server.appendRoute(HTTPRoute(methods: [.GET, .HEAD], path: path)) { request in
      let answer = answer(published.read(), SystemWall().monotonicMicroseconds)
      var response = Self.response(answer)
      if request.method == .HEAD {
        // As long as it would be, and not there.
        response.headers[.contentLength] = String(answer.body.utf8.count)
        response.payload = .httpBody(HTTPBodySequence())
      }
      return response
    }
  }

  /// What the system says, without the library's own words.
  package static func reason(_ error: any Error) -> String {
    guard case SocketError.failed(_, let code, _) = error else { return "\(error)" }
    return String(cString: strerror(code))
  }

  private func makeServer() throws -> HTTPServer {
    if address.host == "[::1]" {
      return HTTPServer(address: try .inet6(ip6: "::1", port: address.port), logger: .disabled)
    }
    return HTTPServer(address: try .inet(ip4: "127.0.0.1", port: address.port), logger: .disabled)
  }

  private static func response(_ answer: Answer) -> HTTPResponse {
    HTTPResponse(
      statusCode: answer.status == 200 ? .ok : .serviceUnavailable,
      headers: [.contentType: answer.contentType, HTTPHeader("Cache-Control"): "no-store"], body: Data(answer.body.utf8)
    )
  }
}
