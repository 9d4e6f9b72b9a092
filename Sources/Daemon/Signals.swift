// SIGTERM, SIGINT and SIGHUP (the terminal has gone): the first asks for an end in good order, the second ends at once.

import Glibc
import Handoff

public enum Signals {
  /// Blocks these signals for the calling thread and all it starts from now on, and hands them to a thread of their own.
  /// Call before any other thread is started.
  public static func watch(_ stop: StopRequest, log: Log) throws {
    signal(SIGPIPE, SIG_IGN)
    var set = stopping
    pthread_sigmask(SIG_BLOCK, &set, nil)
    _ = try DedicatedThread("tw-signals") {
      var set = stopping
      while true {
        var received: Int32 = 0
        guard sigwait(&set, &received) == 0 else { return }
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
