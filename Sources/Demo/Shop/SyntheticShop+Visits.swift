// What customers of the synthetic shop do: come, look around, fill and leave carts, buy, regret, complain, review.

import Events

extension SyntheticShop {
  mutating func perform(_ action: ShopAction) {
    let customer = action.customer
    let time = action.time
    switch action.kind {
    case .arrive: arrive(customer, at: time)
    case .browse: browse(customer, at: time)
    case .purchase: purchase(customer)
    case .refund: refund(action)
    case .cancel:
      var draft = draft(.orderCancelled, of: customer, at: time)
      draft.order = action.order
      emit(draft)
    case .ticket: emit(draft(.supportTicket, of: customer, at: time))
    case .review:
      var draft = draft(.review, of: customer, at: time)
      draft.order = action.order
      emit(draft)
    case .tellProfile:
      var draft = draft(.profileUpdate, of: customer, at: time)
      draft.profile = customers[customer].makeProfile()
      emit(draft)
    }
  }

  private mutating func draft(_ type: EventType, of customer: Int, at time: Instant) -> ShopDraft {
    ShopDraft(type: type, time: time, customer: customer, channel: customers[customer].pickChannel())
  }

  private mutating func arrive(_ customer: Int, at time: Instant) {
    openDoor(at: time)
    emit(draft(.login, of: customer, at: time))
    if customers[customer].random.chance(0.8) {
      schedule.plan(.tellProfile, of: customer, at: time + .seconds(90))
    }
    planPurchase(of: customer)
    planBrowse(of: customer, after: time)
  }

  /// The session begins 15 minutes before the moment of payment, which the process has fixed.
  private mutating func planPurchase(of customer: Int) {
    guard let purchase = customers[customer].process.upcoming else { return }
    schedule.plan(.purchase, of: customer, at: purchase - .minutes(15))
  }

  private mutating func planBrowse(of customer: Int, after time: Instant) {
    let rate = customers[customer].browseRate
    var days = customers[customer].random.exponential(rate: rate)
    if customers[customer].hasLeft {
      customers[customer].visitsAfterLeaving += 1
      let visits = customers[customer].visitsAfterLeaving
      if visits > 4 { return }
      days *= Double(1 << visits)
    }
    schedule.plan(.browse, of: customer, at: time + ShopTime.span(days: days) + .minutes(1))
  }

  // MARK: Looking

  private mutating func browse(_ customer: Int, at start: Instant) {
    let channel = customers[customer].pickChannel()
    var time = start
    func step(_ shop: inout SyntheticShop, _ type: EventType, _ line: ShopCustomer.CartLine? = nil) {
      shop.emit(shop.click(type, of: customer, at: time, channel: channel, line: line))
      time = time + .seconds(Int64(5 + shop.customers[customer].random.below(85)))
    }
    step(&self, .pageView)
    for _ in 0..<customers[customer].random.below(3) { step(&self, .search) }
    var looked: ShopCustomer.CartLine?
    for _ in 0..<(1 + customers[customer].random.below(4)) {
      let line = customers[customer].pickProduct()
      looked = line
      step(&self, .productView, line)
      if customers[customer].random.chance(0.1) { step(&self, .favorite, line) }
    }
    if let line = looked, customers[customer].random.chance(0.25) {
      step(&self, .addToCart, line)
      customers[customer].cart.append(line)
      // Most carts stay behind; the next order takes them along.
      if customers[customer].random.chance(0.3) {
        step(&self, .removeFromCart, line)
        customers[customer].cart.removeLast()
      }
    }
    if !customers[customer].hasLeft, customers[customer].process.last != nil, customers[customer].random.chance(0.06) {
      regret(customer, at: time, channel: channel)
    }
    planBrowse(of: customer, after: time)
  }

  private mutating func click(
    _ type: EventType, of customer: Int, at time: Instant, channel: StaticString, line: ShopCustomer.CartLine?
  ) -> ShopDraft {
    var draft = ShopDraft(type: type, time: time, customer: customer, channel: channel)
    if let line {
      let product = ShopCatalogue.product(category: line.category, line.product)
      draft.product = product
      if type == .addToCart {
        let currency = customers[customer].currency
        draft.currency = currency
        draft.amount = ShopCatalogue.amount(product.price, in: currency)
      }
    }
    return draft
  }

  // MARK: Buying

  /// The session that ends with the purchase the process wants, paid at exactly its moment.
  private mutating func purchase(_ customer: Int) {
    guard let paid = customers[customer].process.upcoming else { return }
    let channel = customers[customer].pickChannel()
    // Backwards from the payment, so that its moment is exact.
    let pieces = 1 + Int(customers[customer].appetite * customers[customer].random.uniform())
    for piece in 0..<pieces {
      let line = customers[customer].pickProduct()
      let seen = paid - .seconds(Int64(240 + 120 * (pieces - piece) + customers[customer].random.below(60)))
      emit(click(.productView, of: customer, at: seen, channel: channel, line: line))
      emit(click(.addToCart, of: customer, at: seen + .seconds(40), channel: channel, line: line))
      customers[customer].cart.append(line)
    }
    emit(click(.pageView, of: customer, at: paid - .minutes(14), channel: channel, line: nil))
    emit(click(.checkout, of: customer, at: paid - .seconds(150), channel: channel, line: nil))
    var order = makeOrder(of: customer, at: paid - .seconds(60), channel: channel)
    emit(order)
    order.type = .orderPaid
    order.time = paid
    emit(order)
    customers[customer].cart.removeAll()
    customers[customer].process.advance()
    planAfterwards(of: customer, order: order)
    planPurchase(of: customer)
  }

  private mutating func makeOrder(of customer: Int, at time: Instant, channel: StaticString) -> ShopDraft {
    var order = ShopDraft(type: .orderPlaced, time: time, customer: customer, channel: channel)
    orderCount += 1
    order.order = orderCount
    order.currency = customers[customer].currency
    if customers[customer].cart.isEmpty { customers[customer].cart = [customers[customer].pickProduct()] }
    // Old things in a cart are bought with one of the last five.
    let lines = customers[customer].cart.suffix(5)
    var price: Int64 = 0
    for line in lines { price += ShopCatalogue.product(category: line.category, line.product).price }
    let last = lines[lines.endIndex - 1]
    order.product = ShopCatalogue.product(category: last.category, last.product)
    order.quantity = lines.count
    if customers[customer].random.chance(customers[customer].bargain) {
      let discount = price / Int64(5 + customers[customer].random.below(10))
      price -= discount
      order.discount = ShopCatalogue.amount(discount, in: order.currency)
      order.coupon = ShopCatalogue.coupons[customers[customer].random.below(ShopCatalogue.coupons.count)]
    }
    order.amount = ShopCatalogue.amount(price, in: order.currency)
    return order
  }

  private mutating func planAfterwards(of customer: Int, order: ShopDraft) {
    func later(_ shop: inout SyntheticShop, _ low: Double, _ high: Double) -> Instant {
      order.time + ShopTime.span(days: shop.customers[customer].random.between(low, high))
    }
    // Who leaves has often a reason.
    let leaves = customers[customer].hasLeft
    let complaint = leaves ? max(0.3, customers[customer].complaint) : customers[customer].complaint
    if customers[customer].random.chance(complaint) {
      schedule.plan(.ticket, of: customer, at: later(&self, 0.5, 4))
    }
    if customers[customer].random.chance(leaves ? 0.1 : 0.03), let amount = order.amount {
      // In part, so that the purchase stays one.
      schedule.plan(
        .refund, of: customer, at: later(&self, 2, 9), order: order.order ?? 0, amount: max(1, amount * 2 / 5),
        currency: order.currency)
    }
    if customers[customer].random.chance(0.08) {
      schedule.plan(.review, of: customer, at: later(&self, 3, 14), order: order.order ?? 0)
    }
    if customers[customer].random.chance(0.01) {
      schedule.plan(.tellProfile, of: customer, at: later(&self, 1, 30))
    }
  }

  // MARK: Regretting

  /// An order that will not stay a purchase: never paid and cancelled, cancelled after payment, or wholly refunded.
  private mutating func regret(_ customer: Int, at time: Instant, channel: StaticString) {
    var order = makeOrder(of: customer, at: time, channel: channel)
    customers[customer].cart.removeAll()
    emit(order)
    let fate = customers[customer].random.uniform()
    if fate < 0.4 {
      schedule.plan(.cancel, of: customer, at: time + .minutes(50), order: order.order ?? 0)
      return
    }
    order.type = .orderPaid
    order.time = time + .seconds(60)
    emit(order)
    let change = order.time + ShopTime.span(days: customers[customer].random.between(0.05, 3))
    if fate < 0.65 {
      schedule.plan(.cancel, of: customer, at: change, order: order.order ?? 0)
    } else {
      schedule.plan(
        .refund, of: customer, at: change, order: order.order ?? 0, amount: order.amount ?? 0,
        currency: order.currency)
    }
  }

  private mutating func refund(_ action: ShopAction) {
    var draft = draft(.orderRefunded, of: action.customer, at: action.time)
    draft.order = action.order
    draft.amount = action.amount
    draft.currency = action.currency
    emit(draft)
  }
}
