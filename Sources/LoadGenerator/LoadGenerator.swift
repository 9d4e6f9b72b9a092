// The reference workload as a stream of lines, made as fast as memory takes them: events in the order of their times, of
// customers with a mild Zipf skew, with refunds of earlier orders.

import Events

/// One line that was written, and what a producer needs of it.
public struct LoadLine: Sendable, Hashable {
  /// Bytes without a line end.
  public var length: Int
  /// Where the customer's id, the record's key, stands in the line.
  public var key: Range<Int>
  public var kind: LoadKind
  public var time: Instant
}

/// Makes the events one after the other. Allocates nothing after its start.
public struct LoadGenerator: ~Copyable {
  /// No line is longer.
  public static let maxLineBytes = 512

  public let options: LoadOptions
  /// How many lines were made.
  public private(set) var made = 0

  private var random: LoadRandom
  private var clock: LineClock
  private let orders: UnsafeMutablePointer<PaidOrder>
  private var orderCount = 0
  /// Of the inverse of the distribution of ranks: its fourth root goes evenly from one to the other.
  private let lowRoot: Double
  private let rootSpan: Double
  private let customerStep: Int
  private let stepMicroseconds: Double

  private struct PaidOrder {
    var customer: Int
    var cents: Int
    var number: Int
  }

  /// - Parameter options: values outside their ranges are taken to the nearest inside.
  public init(_ options: LoadOptions) {
    var options = options
    options.customers = min(max(options.customers, 1), LoadOptions.customersRange.upperBound)
    options.days = min(max(options.days, 1), LoadOptions.daysRange.upperBound)
    options.events = max(options.events, 0)
    self.options = options
    random = LoadRandom(seed: options.seed)
    clock = LineClock()
    orders = .allocate(capacity: LoadShape.refundHorizon)
    lowRoot = LoadShape.rankOffset.squareRoot().squareRoot()
    rootSpan = (LoadShape.rankOffset + Double(options.customers)).squareRoot().squareRoot() - lowRoot
    customerStep = coprime(to: options.customers)
    stepMicroseconds = Double(options.days) * 86_400_000 / Double(max(options.events, 1))
  }

  deinit { orders.deallocate() }

  public var isAtEnd: Bool { made >= options.events }

  /// Writes the next line, without a line end. To be called only while `isAtEnd` is false.
  /// - Parameter buffer: room for `maxLineBytes`.
  public mutating func next(into buffer: UnsafeMutablePointer<UInt8>) -> LoadLine {
    let number = made
    made += 1
    // One event in each of as many equal spans as there are events: their times rise by themselves.
    let first = random.next()
    let jitter = Double(first >> 32) * 0x1p-32
    let milliseconds = Int64((Double(number) + jitter) * stepMicroseconds)
    let time = Instant(microseconds: options.start.microseconds + milliseconds * 1_000)
    var kind = Self.kind(UInt32(truncatingIfNeeded: first))

    var customer = pickCustomer()
    var cents = 0
    var order = number
    switch kind {
    case .productView, .favorite, .addToCart: cents = pickCents()
    case .orderPaid:
      cents = pickCents()
      orders[orderCount % LoadShape.refundHorizon] = PaidOrder(customer: customer, cents: cents, number: number)
      orderCount += 1
    case .orderRefunded:
      if orderCount == 0 {
        kind = .search
      } else {
        let back = Int(random.uniform() * Double(min(orderCount, LoadShape.refundHorizon)))
        let paid = orders[(orderCount - 1 - back) % LoadShape.refundHorizon]
        (customer, cents, order) = (paid.customer, paid.cents, paid.number)
      }
    case .pageView, .search, .supportTicket: break
    }

    clock.move(to: time)
    var line = LineWriter(buffer)
    line.begin(number: number, kind: kind, customer: customer, clock: clock)
    let keyEnd = line.keyEnd
    let details = random.next()
    let more = random.next()
    line.details(
      kind, cents: cents, order: order, quantity: 1 + Int(details & 3), category: Int((details >> 2) & 15),
      product: 1 + Int(((details >> 32) &* UInt64(LoadShape.products)) >> 32))
    line.tail(
      kind, channel: Self.channel(UInt32((details >> 8) & 0xFFFF)), session: random.next() >> 1,
      coupon: Int(((more & 0xFFFF_FFFF) &* 100) >> 32), reference: Int(((more >> 32) &* 1_000_000_000) >> 32),
      category: Int((details >> 2) & 15), quantity: 1 + Int(details & 3))
    return LoadLine(length: line.count, key: line.keyStart..<keyEnd, kind: kind, time: time)
  }

  @inline(__always) private static func kind(_ bits: UInt32) -> LoadKind {
    var place = 0
    while place < 7, bits >= LoadKind.bounds[place] { place += 1 }
    return LoadKind(rawValue: place) ?? .pageView
  }

  @inline(__always) private static func channel(_ bits: UInt32) -> Int {
    var place = 0
    while place < 3, bits >= LoadShape.channelBounds[place] { place += 1 }
    return place
  }

  /// 1...customers. Ranks are spread over the ids, so that no range of ids is busier than another.
  @inline(__always) private mutating func pickCustomer() -> Int {
    let root = lowRoot + rootSpan * random.uniform()
    let square = root * root
    let rank = min(max(Int(square * square - LoadShape.rankOffset), 0), options.customers - 1)
    return rank * customerStep % options.customers + 1
  }

  @inline(__always) private mutating func pickCents() -> Int {
    max(100, Int(exponential(LoadShape.amountLogMean + LoadShape.amountLogDeviation * random.normal()).rounded()))
  }
}

/// Without a common divisor with `count`, and about 0.6 of it: multiplying by it shuffles 0..<count.
private func coprime(to count: Int) -> Int {
  func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
  // The product with any rank must fit.
  var step = max(1, Int(Double(count) * 0.618_033_988_749_895))
  while step > 1, divisor(count, step) != 1 { step -= 1 }
  return max(1, step)
}
