// What the demo's threads share: the daemon's end, and its last warning.

import Configuration
import Daemon
import Synchronization

/// The daemon on a thread of its own.
final class DaemonWorker: Sendable {
  private let daemon: Daemon
  private let stopRequest: StopRequest
  private let result = Mutex<DataPlaneEnd?>(nil)

  init(_ settings: DataPlaneSettings) {
    stopRequest = StopRequest()
    daemon = Daemon(settings, stop: stopRequest)
  }

  var snapshot: DaemonSnapshot { daemon.snapshot }
  /// nil while it runs.
  var end: DataPlaneEnd? { result.withLock { $0 } }
  func stop() { stopRequest.stop() }

  /// Blocks until it is stopped or fails.
  func run() {
    let end = daemon.run()
    result.withLock { $0 = end }
  }
}

/// The last line somebody said.
final class LastLine: Sendable {
  private let text = Mutex("")
  var current: String { text.withLock { $0 } }
  func write(_ line: String) { text.withLock { $0 = line } }
}
