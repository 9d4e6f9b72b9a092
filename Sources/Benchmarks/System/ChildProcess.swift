// A child process whose CPU time and memory can be seen, while it runs and at its end.

import Foundation

/// CPU seconds of a process, by whose threads they are.
public struct CPUTimes: Sendable, Hashable {
  /// Threads that librdkafka has made.
  public var librdkafka = 0.0
  /// All others that are alive.
  public var own = 0.0
}

/// What a process has used by its end.
public struct ProcessUse: Sendable {
  /// The exit status, or the negated signal.
  public var status: Int32
  public var cpuSeconds: Double
  public var peakBytes: Int
  public var output: String
}

/// One run of a program. Killed with its owner.
public final class ChildProcess {
  public let pid: pid_t
  public let words: [String]
  private let outputPath: String
  private let errorPath: String
  private var use: ProcessUse?

  /// - Parameters:
  ///   - words: the program's path and its arguments.
  ///   - logs: a directory for what it writes.
  ///   - inheritsErrors: it writes to our standard error instead of a file there.
  public init(_ words: [String], logs: String, name: String, inheritsErrors: Bool = false) throws(BenchmarkError) {
    self.words = words
    outputPath = "\(logs)/\(name).out"
    errorPath = "\(logs)/\(name).err"
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    if !inheritsErrors {
      posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    }
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var pid = pid_t()
    let code = posix_spawn(&pid, words[0], &actions, nil, &arguments, environ)
    guard code == 0 else {
      throw BenchmarkError("cannot start \(words[0]): \(String(cString: strerror(code))); run `make build` first")
    }
    self.pid = pid
  }

  deinit {
    guard use == nil else { return }
    kill(pid, SIGKILL)
    var status: Int32 = 0
    waitpid(pid, &status, 0)
  }

  public func send(_ signal: Int32) { if use == nil { kill(pid, signal) } }

  /// What it has written to standard error so far.
  public var errors: String { contents(errorPath) ?? "" }

  /// Looks whether it has ended, without waiting.
  public func ended() -> ProcessUse? { reap(WNOHANG) }

  /// Waits for its end.
  /// - Throws: when its exit status is not 0.
  @discardableResult
  public func finish() throws(BenchmarkError) -> ProcessUse {
    guard let use = reap(0) else { throw BenchmarkError("\(words[0]) could not be waited for") }
    guard use.status == 0 else {
      throw BenchmarkError(
        "\(words.joined(separator: " ")) ended with status \(use.status): \(String(errors.suffix(1_500)))")
    }
    return use
  }

  private func reap(_ options: Int32) -> ProcessUse? {
    if let use { return use }
    var status: Int32 = 0
    var usage = rusage()
    while true {
      let found = wait4(pid, &status, options, &usage)
      if found < 0, errno == EINTR { continue }
      guard found == pid else { return nil }
      break
    }
    let signal = status & 0x7F
    let done = ProcessUse(
      status: signal == 0 ? (status >> 8) & 0xFF : -signal,
      cpuSeconds: usage.ru_utime.seconds + usage.ru_stime.seconds, peakBytes: usage.ru_maxrss * 1_024,
      output: contents(outputPath) ?? "")
    use = done
    return done
  }

  /// Of the living threads, from the scheduler's account of each (nanoseconds).
  public var cpu: CPUTimes {
    var times = CPUTimes()
    let directory = "/proc/\(pid)/task"
    for thread in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
      guard let name = contents("\(directory)/\(thread)/comm"), let seconds = Self.seconds("\(directory)/\(thread)")
      else { continue }
      if name.hasPrefix("rdk:") { times.librdkafka += seconds } else { times.own += seconds }
    }
    return times
  }

  private static func seconds(_ directory: String) -> Double? {
    if let text = contents("\(directory)/schedstat"), let first = text.split(separator: " ").first,
      let nanoseconds = Double(first), nanoseconds > 0
    {
      return nanoseconds / 1e9
    }
    // Kernels without scheduler statistics: in ticks, behind the name in brackets.
    guard let text = contents("\(directory)/stat"), let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[end...].split(separator: " ")
    guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return nil }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Memory in use now, in bytes; nil when it has ended.
  public var residentBytes: Int? { status("VmRSS:") }
  public var peakBytes: Int? { status("VmHWM:") }

  private func status(_ name: String) -> Int? {
    contents("/proc/\(pid)/status")?.split(separator: "\n").first { $0.hasPrefix(name) }
      .flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1_024 }
  }
}

extension timeval {
  fileprivate var seconds: Double { Double(tv_sec) + Double(tv_usec) / 1e6 }
}
