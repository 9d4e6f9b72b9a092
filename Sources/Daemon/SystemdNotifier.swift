// sd_notify(3) without libsystemd: datagrams to $NOTIFY_SOCKET. Does nothing where there is none.

import Glibc

/// Used by the data-plane thread, so that the watchdog proves that events are moving.
package final class SystemdNotifier {
  private let descriptor: Int32
  private let address: [UInt8]
  private let watchdogInterval: Int64?
  private var lastBeat: Int64 = .min
  private var lastStatus = ""
  private var lastStatusTime: Int64 = .min

  /// nil when the process was not started by systemd with Type=notify.
  /// - Parameters:
  ///   - socketPath: the value of NOTIFY_SOCKET; a leading `@` means an abstract socket.
  ///   - watchdogMicroseconds: the value of WATCHDOG_USEC.
  package init?(socketPath: String?, watchdogMicroseconds: String?) {
    guard let socketPath, !socketPath.isEmpty, socketPath.utf8.count < 107 else { return nil }
    var path = Array(socketPath.utf8)
    if path[0] == UInt8(ascii: "@") { path[0] = 0 }
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    address = path
    // Twice as often as asked for at least, as sd_watchdog_enabled(3) recommends.
    watchdogInterval = watchdogMicroseconds.flatMap { Int64($0) }.flatMap { $0 > 0 ? $0 / 3 : nil }
  }

  deinit { close(descriptor) }

  /// Sends one message of `NAME=value` lines. Never blocks; a lost datagram is sent again with the next beat.
  package func send(_ message: String) {
    var target = sockaddr_un()
    target.sun_family = sa_family_t(AF_UNIX)
    let length = MemoryLayout<sa_family_t>.size + address.count
    withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: address) }
    var bytes = Array(message.utf8)
    _ = withUnsafePointer(to: &target) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
        sendto(
          descriptor, &bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), target,
          socklen_t(length))
      }
    }
  }

  /// The data plane went round.
  package func beat(now: Int64) {
    guard let watchdogInterval, lastBeat == .min || now - lastBeat >= watchdogInterval else { return }
    lastBeat = now
    send("WATCHDOG=1")
  }

  /// What `systemctl status` shows, at most once a second.
  package func status(_ text: String, now: Int64) {
    guard text != lastStatus, lastStatusTime == .min || now - lastStatusTime >= 1_000_000 else { return }
    lastStatus = text
    lastStatusTime = now
    send("STATUS=\(text)")
  }
}
