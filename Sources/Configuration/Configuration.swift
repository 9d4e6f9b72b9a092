// Everything an operator may say, as plain values with their defaults. `Configuration.load` reads and checks the file.

import Events
import Models

/// One checked configuration. Every field is within its range; paths are absolute or relative to the working directory.
public struct Configuration: Sendable {
  public var kafka = KafkaSection()
  public var inputs: [Input] = []
  public var outputs = Outputs()
  public var delivery = Delivery.exactlyOnce
  public var clock = Clock.wall
  public var epoch = Epoch()
  /// A required topic whose end offsets do not advance for this long stops the clock. 1 s...30 d.
  public var sourceStall = TimeSpan.minutes(15)
  /// Events older than the clock by more than this are dead letters. 0 s...90 d.
  public var lateness = TimeSpan.days(7)
  /// IANA name of the zone that decides where a day begins.
  public var timeZone = "UTC"
  public var currency = Currency()
  public var limits = Limits()
  public var state = State()
  /// The rule file, resolved against the directory of the configuration file.
  public var rulesPath = "tags.yaml"
  /// Absent: no churn or lost alerts (silent ones are still raised).
  public var churn: Churn?
  public var alerts = Alerts()
  public var admin = Admin()
  public var logLevel = LogLevel.info

  /// The file this came from, as it was named.
  public var file = ""
  /// Where each value stood, by dotted path (`churn.horizon`): for mistakes that only later checks can see.
  public var positions: [String: ConfigurationPosition] = [:]
  /// What is allowed but should be known, for instance another shop's model parameters.
  public var warnings: [String] = []

  public init() {}

  /// A mistake found after reading, at the place of the value that caused it.
  public func issue(at path: String, _ message: String) -> ConfigurationIssue {
    ConfigurationIssue(file: file, position: positions[path], message: message)
  }

  public enum Delivery: String, Sendable, CaseIterable {
    case exactlyOnce = "exactly_once"
    case atLeastOnce = "at_least_once"
  }
  public enum Clock: String, Sendable, CaseIterable {
    case wall
    case event
  }
  public enum LogLevel: String, Sendable, CaseIterable {
    case debug, info, warning, error
  }

  public struct KafkaSection: Sendable {
    /// `host:port`, comma-separated.
    public var bootstrap = ""
    public var group = "tidewatch"
    /// Stable name of this process within the group; the transactional id is `group-instance`.
    public var instance = "1"
    public var createTopics = false
    /// For topics created by us.
    public var partitions = 6
    /// For topics created by us; -1 leaves it to the broker.
    public var replication = -1
    /// Passed to librdkafka as they are, in the order of the file.
    public var properties: [Property] = []
    public struct Property: Hashable, Sendable {
      public var name: String
      public var value: String
      public init(name: String, value: String) {
        self.name = name
        self.value = value
      }
    }
  }

  public struct Input: Sendable, Hashable {
    public enum Format: String, Sendable, CaseIterable {
      case native
      case segment
    }
    public enum Partitioner: String, Sendable, CaseIterable {
      case murmur2
      /// librdkafka's own default, CRC32.
      case consistent
      case fnv1a
      /// Records are not checked against their partition.
      case unchecked
    }
    public var topic: String
    public var format = Format.native
    /// The clock follows the wall only while this topic is alive.
    public var required = false
    public var partitioner = Partitioner.murmur2
    public init(topic: String) { self.topic = topic }
  }

  public struct Outputs: Sendable {
    public var tagChanges = Output(topic: "tag-changes")
    public var churnAlerts = Output(topic: "churn-alerts")
    public var customerProfiles = Output(topic: "customer-profiles", enabled: false)
    public var deadLetters = Output(topic: "dead-letters")
    public struct Output: Sendable, Hashable {
      public var topic: String
      public var enabled = true
    }
    /// Those switched on.
    public var enabled: [Output] { [tagChanges, churnAlerts, customerProfiles, deadLetters].filter(\.enabled) }
  }

  public struct Epoch: Sendable {
    /// 10 ms...60 s.
    public var interval = TimeSpan.seconds(1)
    /// Records of all partitions, 1...10 million.
    public var maxEvents = 30_000
    /// Customers changed by records and by time, 1...10 million.
    public var maxChanges = 30_000
    /// Bytes of input and of outputs, 64 KiB...1 GiB.
    public var maxBytes = 20 << 20
    /// How long a revoke or a shutdown waits for the commit, 1 s...10 min.
    public var finishWithin = TimeSpan.seconds(20)
    /// How long one step of a commit may hang (a disk that does not answer) before systemd's watchdog is left unfed,
    /// 5 s...1 h.
    public var stallAfter = TimeSpan.seconds(60)
  }

  public struct Currency: Sendable {
    /// ISO 4217, the one all sums are kept in.
    public var reporting = "CNY"
    /// For events that name none.
    public var fallback = "CNY"
    /// Minor-unit digits of the reporting currency, 0...4.
    public var exponent = 2
    /// One unit of `code` in units of the reporting currency.
    public var rates: [Rate] = []
    public struct Rate: Sendable, Hashable {
      public var code: String
      public var rate: ExactDecimal
    }
  }

  /// What a record may at most be; beyond it, it is a dead letter (or, for state, the excess is counted and dropped).
  public struct Limits: Sendable {
    public var recordBytes = 1 << 20
    public var customerIDBytes = 128
    public var textBytes = 256
    public var depth = 16
    public var fields = 256
    /// Original bytes kept in a dead letter; the rest is cut, the hash covers all.
    public var deadLetterBytes = 64 << 10
    /// A record may be this far ahead of its broker timestamp.
    public var future = TimeSpan.minutes(5)
    /// Events before the beginning of this day (UTC) are refused. 1970...2100.
    public var oldest = CivilDate(year: 1990, month: 1, day: 1).localDay
    /// Of one event. 1...1,000,000,000.
    public var quantity = 1_000_000
    public var ordersPerCustomer = 1_024
    public var cartItems = 64
    public var categorySlots = 16
    /// Distinct categories, channels, regions and occupations of a partition, `(other)` included. 256...65,536: what a tag can
    /// name.
    public var names = 65_536
    public var categoryHalfLife = TimeSpan.days(30)
  }

  public struct State: Sendable {
    public var directory = "/var/lib/tidewatch"
    /// The log is rewritten when it is at least this large and ...
    public var rewriteMinimumBytes = 64 << 20
    /// ... at least this many times the size of the base it starts from. 1.5...100.
    public var rewriteRatio = 4.0
    /// How long a partition waits for another process to let go of its directory.
    public var lockWait = TimeSpan.seconds(60)
    /// Customers silent for this long are evicted. 400 d...36,500 d, and at least `Configuration.orderRetention`.
    public var retention = TimeSpan.days(1095)
    /// Bytes that the state and the outputs of the open epoch may need before reading stops; 0 = no limit. 0...1 PiB.
    public var memoryLimit = 0
  }

  public struct Churn: Sendable {
    public var model: ChurnModel
    /// The preset the parameters come from, if any.
    public var preset: ChurnModelPreset?
  }

  public struct Alerts: Sendable {
    public var enabled = true
    /// `respond_by` is this long after the crossing; at most one alert is raised in it. 1 h...30 d.
    public var window = TimeSpan.hours(48)
    /// Days without an order until the `silent` alert. 1 d...3650 d.
    public var silentAfter = TimeSpan.days(30)
    /// An alert nobody answered ends after this. 1 d...3650 d.
    public var expireAfter = TimeSpan.days(90)
    /// Treatment tiers by worth, the most valuable first. May be empty.
    public var treatments: [Treatment] = []
    public struct Treatment: Sendable, Hashable {
      public var name: String
      /// Life-long net revenue from which it applies, whole major units of the reporting currency.
      public var revenueAtLeast: Int64
    }
    /// Customers who get no treatment, to measure the others against. 0...50.
    public var holdoutPercent = 0
    /// Alerts raised per second and partition while a backlog is worked off. 1...100,000.
    public var backfillPerSecond = 50
  }

  public struct Admin: Sendable {
    /// Absent: no HTTP at all.
    public var listen: Address? = Address(host: "127.0.0.1", port: 9464)
    public struct Address: Sendable, Hashable {
      public var host: String
      public var port: UInt16
      public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
      }
    }
  }
}
