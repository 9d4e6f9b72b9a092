// SIGTERM, SIGINT and SIGHUP (the terminal has gone): the first asks for an end in good order, the second ends at once.

import Glibc
import Handoff

public enum Signals {
  /// Within this time, in microseconds, a second signal is the first once more: `timeout`, and shells, send one to the process
  /// and another to its group.
  private static let together: Int64 = 300_000

  /// Blocks these signals for the calling thread and all it starts from now on, and hands them to a thread of their own.
  /// Call before any other thread is started.
  public static func watch(_ stop: StopRequest, log: Log) throws {
    signal(SIGPIPE, SIG_IGN)
    var set = stopping
    pthread_sigmask(SIG_BLOCK, &set, nil)
    _ = try DedicatedThread("tw-signals") {
      var set = stopping
      var askedAt = Int64.min / 2
      while true {
        var received: Int32 = 0
        guard sigwait(&set, &received) == 0 else { return }
        let now = SystemWall.microseconds(CLOCK_MONOTONIC)
        if now - askedAt < together { continue }
        askedAt = now
        if stop.isStopping {
          // What is not committed is read again at the next start: nothing is lost.
          log.warning("second signal: ending at once")
          _exit(128 + received)
        }
        log.info("signal \(received): stopping in good order; a second signal ends at once")
        stop.stop()
      }
    }
  }

  private static var stopping: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
    return set
  }
}
