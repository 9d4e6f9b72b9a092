// The flat record of one customer: a fixed header and one block of variable sections behind it.
// Header and sections are stored in checkpoints byte for byte (little-endian): changing a layout means a new
// `CustomerHeader.layoutVersion`.

import Events

/// The variable sections of a record, in the order in which they lie in the tail (largest alignment first).
enum Section: Int {
  case orders = 0
  case cart = 1
  case recent = 2
  case categories = 3
  case channels = 4
  case cells = 5
  case tags = 6
  case id = 7

  /// Bytes an element.
  static let strides = SIMD8<Int32>(32, 24, 16, 8, 8, 4, 4, 1)
  var stride: Int { Int(Section.strides[rawValue]) }
}

/// Life-long sums over orders. Kept twice: for orders that left the list, and for all together.
public struct OrderTotals: Equatable, Sendable {
  public var paid: UInt32 = 0
  public var purchases: UInt32 = 0
  /// Distinct local days with a purchase.
  public var purchaseDays: UInt32 = 0
  /// Purchases with a coupon or a discount.
  public var discounted: UInt32 = 0
  /// Paid orders with any refund.
  public var refundedOrders: UInt32 = 0
  /// Refund events, linked or not.
  public var refunds: UInt32 = 0
  public var grossMinor: Int64 = 0
  public var netMinor: Int64 = 0
  /// Of purchases; meaningless while `purchases == 0`.
  public var first = Instant(microseconds: 0)
  public var last = Instant(microseconds: 0)
  /// Between the last two purchases; -1 while there are fewer.
  public var lastGap = TimeSpan(microseconds: -1)
  public init() {}
}

/// The kinds of churn alert, also the index into `AlertState.open`.
public enum AlertKind: UInt8, CaseIterable, Sendable {
  case churn = 0
  case lost = 1
  case silent = 2
  public var name: String {
    switch self {
    case .churn: "churn"
    case .lost: "lost"
    case .silent: "silent"
    }
  }
}

/// An alert that was raised and not yet ended.
public struct OpenAlert: Equatable, Sendable {
  /// The customer's alert number, from 1; 0 = none open.
  public var number: UInt32 = 0
  /// When the threshold was crossed, seconds since 1970.
  public var crossedAtSeconds: UInt32 = 0
  public init() {}
}

/// Where a customer stands with its alerts.
public struct AlertState: Equatable, Sendable {
  public var churn = OpenAlert()
  public var lost = OpenAlert()
  public var silent = OpenAlert()
  /// Number of the last alert raised.
  public var lastNumber: UInt32 = 0
  /// When it was raised, seconds since 1970; 0 = never.
  public var lastRaisedSeconds: UInt32 = 0
  /// See `Flags`.
  public var flags: UInt32 = 0
  /// The customer's clock, seconds since 1970, when its purchases last changed: no crossing is dated before, since nobody
  /// could have known.
  public var judgedAtSeconds: UInt32 = 0

  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Churn probability has been below the clear threshold since the last churn alert.
    public static let armed = Flags(rawValue: 1)
    /// Has been armed at least once.
    public static let everArmed = Flags(rawValue: 2)
    /// This silence has had its alert of the kind: none of that kind until the next purchase.
    public static let spentChurn = Flags(rawValue: 4)
    public static let spentLost = Flags(rawValue: 8)
    public static let spentSilent = Flags(rawValue: 16)
    /// Crossed a threshold while the task was not yet caught up: to be raised as backfill.
    public static let heldBack = Flags(rawValue: 32)
  }
  public var set: Flags {
    get { Flags(rawValue: flags) }
    set { flags = newValue.rawValue }
  }
  public subscript(kind: AlertKind) -> OpenAlert {
    get {
      switch kind {
      case .churn: churn
      case .lost: lost
      case .silent: silent
      }
    }
    set {
      switch kind {
      case .churn: churn = newValue
      case .lost: lost = newValue
      case .silent: silent = newValue
      }
    }
  }
  public init() {}
}

/// Profile attributes, each with the time it was said: the latest word wins, whatever the order of arrival.
public struct ProfileState: Equatable, Sendable {
  /// Days since 1970-01-01; `Int32.min` = unknown.
  public var birthDay: Int32 = .min
  public var region: Symbol = .none
  public var occupation: Symbol = .none
  /// `Gender.rawValue`, 0 = unknown.
  public var gender: UInt32 = 0
  /// Seconds since 1970 at which each was said.
  public var birthDaySaid: UInt32 = 0
  public var regionSaid: UInt32 = 0
  public var occupationSaid: UInt32 = 0
  public var genderSaid: UInt32 = 0
  public init() {}
}

/// The fixed part of a record.
public struct CustomerHeader {
  /// Written into checkpoints.
  public static let layoutVersion: UInt32 = 1

  /// Elements in each `Section`.
  var counts = SIMD8<UInt16>(repeating: 0)
  public var firstSeen = Instant(microseconds: .max)
  public var lastSeen = Instant(microseconds: .min)
  /// The latest instant at which this customer was evaluated: its own clock.
  public var asOf = Instant(microseconds: .min)
  /// When the customer must be looked at again if nothing happens; `.distantFuture` = never.
  public var due = Instant.distantFuture
  var archived = OrderTotals()
  public internal(set) var totals = OrderTotals()
  /// Cart entries up to here are gone: the latest order.
  var cartClearedAt = Instant(microseconds: .min)
  /// The instant to which the decayed weights refer.
  var weightsAt = Instant(microseconds: .min)
  /// All decayed weight, also that of names no longer listed.
  var categoryTotal: Float = 0
  var channelTotal: Float = 0
  public internal(set) var profile = ProfileState()
  public var alerts = AlertState()
  /// Number of the last tag change.
  public var sequence: UInt32 = 0
  /// The rule set (`RuleGeneration`) this record was last evaluated under.
  public var ruleGeneration: UInt32 = 0
  public init() {}
}

/// What the table keeps for one customer. The tail lies in the table's arena.
struct CustomerSlot {
  var header = CustomerHeader()
  var tail: UnsafeMutableRawPointer?
  var tailCapacity: Int32 = 0
  /// Changed since the last checkpoint block.
  var dirty = false
}
