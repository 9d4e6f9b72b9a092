// The flat record of one customer: a fixed header and variable sections behind it, in one block of memory.
// Header and sections are stored in checkpoints as they are but for what `EncodedRecord` says (little-endian): changing a
// layout means a new `CustomerHeader.layoutVersion`.

import Events

/// The variable parts of a record, in the order in which they lie in the tail:
///
///     tags  id  (zeros to a multiple of 8)  blocks that are there  orders  cart  recent  categories  channels  cells
///
/// Tags and id come first since every event reads them; what follows is aligned as its elements ask.
enum Section: Int {
  case tags = 0
  case id = 1
  case orders = 2
  case cart = 3
  case recent = 4
  case categories = 5
  case channels = 6
  case cells = 7

  /// Bytes an element.
  @inline(__always)
  var stride: Int {
    switch self {
    case .tags: 2
    case .id: 1
    case .orders: 32
    case .cart: 24
    case .recent: 12
    case .categories, .channels: 8
    case .cells: 4
    }
  }
}

/// Elements in each section. Named, not a vector of eight: that would have to lie at multiples of 16 bytes.
struct SectionCounts {
  private var tags: UInt16 = 0
  private var id: UInt16 = 0
  private var orders: UInt16 = 0
  private var cart: UInt16 = 0
  private var recent: UInt16 = 0
  private var categories: UInt16 = 0
  private var channels: UInt16 = 0
  private var cells: UInt16 = 0

  subscript(section: Section) -> UInt16 {
    @inline(__always) get {
      switch section {
      case .tags: tags
      case .id: id
      case .orders: orders
      case .cart: cart
      case .recent: recent
      case .categories: categories
      case .channels: channels
      case .cells: cells
      }
    }
    @inline(__always) set {
      switch section {
      case .tags: tags = newValue
      case .id: id = newValue
      case .orders: orders = newValue
      case .cart: cart = newValue
      case .recent: recent = newValue
      case .categories: categories = newValue
      case .channels: channels = newValue
      case .cells: cells = newValue
      }
    }
  }
}

/// Parts that a record has or has not: most customers never order, and few say who they are.
struct Blocks: OptionSet {
  let rawValue: UInt8
  static let purchases = Blocks(rawValue: 1)
  static let archive = Blocks(rawValue: 2)
  static let profile = Blocks(rawValue: 4)
  static let alerts = Blocks(rawValue: 8)
  static let all: Blocks = [.purchases, .archive, .profile, .alerts]

  /// Bytes of all that are in the set.
  @inline(__always)
  var bytes: Int {
    var bytes = 0
    if contains(.purchases) { bytes += MemoryLayout<PurchaseState>.stride }
    if contains(.archive) { bytes += MemoryLayout<OrderTotals>.stride }
    if contains(.profile) { bytes += MemoryLayout<ProfileState>.stride }
    if contains(.alerts) { bytes += MemoryLayout<AlertState>.stride }
    return bytes
  }
}

/// What orders leave behind, but for the list of them.
struct PurchaseState {
  var totals = OrderTotals()
  /// Cart entries up to here are gone: the latest order.
  var cartClearedAt = Instant.distantPast
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
    /// The last alert of the kind in this silence was raised as backfill.
    public static func backfilled(_ kind: AlertKind) -> Flags { Flags(rawValue: 64 << UInt32(kind.rawValue)) }
    public static let backfilled = Flags(AlertKind.allCases.map { backfilled($0) })
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
  /// Written into checkpoints. 2: blocks that may be absent, tags of two bytes, tags and id first. 3: without the id,
  /// instants as differences, zero bytes left out. 4: all bytes there (since 0.4 more of them as differences, which the record
  /// itself says).
  public static let layoutVersion: UInt32 = 4

  var counts = SectionCounts()
  public var firstSeen = Instant(microseconds: .max)
  public var lastSeen = Instant(microseconds: .min)
  /// The latest instant at which this customer was evaluated: its own clock.
  public var asOf = Instant(microseconds: .min)
  /// The instant to which the decayed weights refer.
  var weightsAt = Instant(microseconds: .min)
  /// All decayed weight, also that of names no longer listed.
  var categoryTotal: Float = 0
  var channelTotal: Float = 0
  /// `due`, seconds since 1970; `.max`: never.
  var dueSeconds = UInt32.max
  /// Number of the last tag change.
  public var sequence: UInt32 = 0
  /// The rule set (`RuleGeneration`) this record was last evaluated under.
  public var ruleGeneration: UInt32 = 0
  var blocks: Blocks = []
  public init() {}

  /// When the customer must be looked at again if nothing happens, a whole second; `.distantFuture` = never (or after
  /// 2106, where nothing a rule solves for lies).
  public var due: Instant {
    @inline(__always) get { dueSeconds == .max ? .distantFuture : Instant(seconds: Int64(dueSeconds)) }
    @inline(__always) set { dueSeconds = newValue == .distantFuture ? .max : newValue.secondsClamped }
  }
}

/// What a record begins with, in 72 bytes: its tail lies behind it, in one block of the table's arena.
struct RecordHead {
  var header: CustomerHeader
  /// Changed since the last checkpoint block.
  var dirty = false
  /// Granules of the arena, or with the highest bit set pages.
  private var packedCapacity: UInt16 = 0

  static let bytes = MemoryLayout<RecordHead>.stride

  init(header: CustomerHeader, capacity: Int) {
    self.header = header
    self.capacity = capacity
  }

  /// Bytes of the record's block, as `RecordArena.capacity(for:)` gives them.
  var capacity: Int {
    @inline(__always) get {
      packedCapacity & 0x8000 == 0
        ? Int(packedCapacity) * RecordArena.granule : Int(packedCapacity & 0x7fff) * RecordArena.pageBytes
    }
    set {
      packedCapacity =
        newValue <= RecordArena.largestPooled
        ? UInt16(newValue / RecordArena.granule) : UInt16(newValue / RecordArena.pageBytes) | 0x8000
    }
  }
}
