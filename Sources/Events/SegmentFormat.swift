// Segment and RudderStack messages (spec v2), accepted as they come. The table of what maps to what is in
// Events.docc/SegmentMapping.md.

import CSimdJSON

enum SegmentFormat {
  enum Slot {
    static let messageID = 0
    static let type = 1
    static let event = 2
    static let userID = 3
    static let anonymousID = 4
    static let previousID = 5
    static let timestamp = 6
    static let originalTimestamp = 7
    static let sentAt = 8
    static let receivedAt = 9
    static let order = 10
    static let total = 11
    static let revenue = 12
    static let value = 13
    static let price = 14
    static let quantity = 15
    static let currency = 16
    static let coupon = 17
    static let discount = 18
    static let category = 19
    static let productID = 20
    static let sku = 21
    static let products = 22
    static let channel = 23
    static let contextChannel = 24
    static let topChannel = 25
    /// Seven slots of `traits` from here, then the same of `context.traits`.
    static let traits = 26
    static let contextTraits = 33
  }

  enum Trait: Int, CaseIterable {
    case birthday, birthDate, gender, region, state, occupation, title
    var path: String {
      switch self {
      case .birthday: "birthday"
      case .birthDate: "birth_date"
      case .gender: "gender"
      case .region: "region"
      case .state: "address.state"
      case .occupation: "occupation"
      case .title: "title"
      }
    }
  }

  static var fields: [FieldPath] {
    var fields = [
      FieldPath("messageId", Slot.messageID), FieldPath("type", Slot.type), FieldPath("event", Slot.event),
      FieldPath("userId", Slot.userID), FieldPath("anonymousId", Slot.anonymousID),
      FieldPath("previousId", Slot.previousID), FieldPath("timestamp", Slot.timestamp),
      FieldPath("originalTimestamp", Slot.originalTimestamp), FieldPath("sentAt", Slot.sentAt),
      FieldPath("receivedAt", Slot.receivedAt), FieldPath("properties.order_id", Slot.order),
      FieldPath("properties.total", Slot.total), FieldPath("properties.revenue", Slot.revenue),
      FieldPath("properties.value", Slot.value), FieldPath("properties.price", Slot.price),
      FieldPath("properties.quantity", Slot.quantity), FieldPath("properties.currency", Slot.currency),
      FieldPath("properties.coupon", Slot.coupon), FieldPath("properties.discount", Slot.discount),
      FieldPath("properties.category", Slot.category), FieldPath("properties.product_id", Slot.productID),
      FieldPath("properties.sku", Slot.sku), FieldPath("properties.products", Slot.products),
      FieldPath("properties.channel", Slot.channel), FieldPath("context.channel", Slot.contextChannel),
      FieldPath("channel", Slot.topChannel),
    ]
    for trait in Trait.allCases {
      fields.append(FieldPath("traits." + trait.path, Slot.traits + trait.rawValue))
      fields.append(FieldPath("context.traits." + trait.path, Slot.contextTraits + trait.rawValue))
    }
    return fields
  }

  /// Event names of `track`, trimmed and in lower case.
  static let trackNames: [(String, EventType)] = [
    ("products searched", .search),
    ("product list viewed", .pageView), ("cart viewed", .pageView),
    ("product viewed", .productView),
    ("product added to wishlist", .favorite),
    ("product added", .addToCart), ("wishlist product added to cart", .addToCart),
    ("product removed", .removeFromCart),
    ("checkout started", .checkout),
    ("order placed", .orderPlaced),
    ("order completed", .orderPaid),
    ("order cancelled", .orderCancelled), ("order canceled", .orderCancelled),
    ("order refunded", .orderRefunded),
    ("product shared", .share), ("cart shared", .share),
    ("product reviewed", .review),
    ("signed in", .login),
  ]

  static var names: EventNames { EventNames(trackNames) }

  static func decode(
    _ document: ScannedDocument, into event: inout Event
  ) throws(RejectReason) {
    event.customer = try document.customer(document.node(Slot.userID))
    if event.customer.isEmpty { event.customer = try document.customer(document.node(Slot.anonymousID)) }
    if event.customer.isEmpty { throw .missingCustomer }
    event.time = try time(document)
    let type = try document.cleaned(document.node(Slot.type), wrong: .badType)
    if type.isEmpty { throw .missingType }
    if type.equals("track") {
      let name = try document.cleaned(document.node(Slot.event), wrong: .badType)
      if name.isEmpty { throw .missingType }
      event.type = document.type(name) ?? .activity
    } else if type.equals("identify") {
      event.type = .profileUpdate
      profile(document, into: &event)
    } else if type.equals("page") || type.equals("screen") {
      event.type = .pageView
    } else if type.equals("alias") {
      event.type = .identityLink
      event.reference = try document.customer(document.node(Slot.previousID))
    } else {
      event.type = .activity  // group, and what is not in the specification
    }

    event.id = try document.text(Slot.messageID)
    if event.type.concernsOrders || event.type == .addToCart {
      try purchase(document, into: &event)
    } else {
      interest(document, into: &event)
    }
  }

  /// Of events that money depends on: a field that cannot be read makes the event wrong.
  private static func purchase(_ document: ScannedDocument, into event: inout Event) throws(RejectReason) {
    let order = try document.text(Slot.order)
    if !order.isEmpty { event.orderHash = order.hash() }
    event.hasCoupon = try !document.text(Slot.coupon).isEmpty
    event.category = try document.cleaned(Slot.category)
    event.channel = try document.cleaned(channel(document))
    event.product = try document.text(Slot.productID)
    if event.product.isEmpty { event.product = try document.text(Slot.sku) }
    event.quantity = try document.quantity(document.node(Slot.quantity))
    try amounts(document, into: &event)
  }

  /// Of all others: their properties are the sender's own, so that a `value` is no amount. What is not text is not there.
  private static func interest(_ document: ScannedDocument, into event: inout Event) {
    func name(_ node: ScannedDocument.Node?) -> ByteSlice { (try? document.cleaned(node)) ?? .empty }
    func text(_ node: ScannedDocument.Node?) -> ByteSlice {
      (try? document.text(node, limit: document.limits.maxTextBytes)) ?? .empty
    }
    event.channel = name(channel(document))
    event.category = name(document.node(Slot.category))
    event.product = text(document.node(Slot.productID) ?? document.node(Slot.sku))
    guard let products = document.node(Slot.products), document.isKind(products, TW_JSON_ARRAY) else { return }
    document.forEachElement(of: products) { product in
      guard document.isKind(product, TW_JSON_OBJECT) else { return }
      if event.category.isEmpty { event.category = name(document.child("category", of: product)) }
      if event.product.isEmpty {
        event.product = text(document.child("product_id", of: product) ?? document.child("sku", of: product))
      }
    }
  }

  private static func channel(_ document: ScannedDocument) -> ScannedDocument.Node? {
    document.node(Slot.channel) ?? document.node(Slot.contextChannel) ?? document.node(Slot.topChannel)
  }

  /// When all three are there: `receivedAt - (sentAt - originalTimestamp)`, which takes the device's wrong clock out.
  private static func time(_ document: ScannedDocument) throws(RejectReason) -> Instant {
    let original = document.node(Slot.originalTimestamp)
    let received = document.node(Slot.receivedAt)
    if let original, let received, let sent = document.node(Slot.sentAt) {
      return try document.time(received) - (document.time(sent) - document.time(original))
    }
    guard let only = document.node(Slot.timestamp) ?? original ?? received else { throw .missingTimestamp }
    return try document.time(only)
  }

  /// Amount, discount, and what only the list of products says: without a total it is the sum of price * quantity.
  private static func amounts(_ document: ScannedDocument, into event: inout Event) throws(RejectReason) {
    let total = document.node(Slot.total) ?? document.node(Slot.revenue) ?? document.node(Slot.value)
    let price = document.node(Slot.price)
    let discount = document.node(Slot.discount)
    let products = document.node(Slot.products).flatMap { document.isKind($0, TW_JSON_ARRAY) ? $0 : nil }
    guard total != nil || price != nil || discount != nil || products != nil else { return }
    // A list of products alone need not carry money: then a missing currency is no error.
    var currency: Currency?
    if total != nil || price != nil || discount != nil { currency = try document.currency(Slot.currency) }
    if let total, let currency {
      event.amount = try document.money(total, currency)
      event.hasAmount = true
    } else if let price, let currency {
      event.amount = try document.money(price, currency, times: event.quantity)
      event.hasAmount = true
    }
    if let currency { event.discount = try document.discount(discount, currency) }
    guard let products else { return }

    let sumsProducts = !event.hasAmount
    var units: Int64 = 0
    var sum: Int64 = 0
    try document.forEachElement(of: products) { product throws(RejectReason) in
      guard document.isKind(product, TW_JSON_OBJECT) else { throw .badField }
      let quantity = try document.quantity(document.child("quantity", of: product))
      units += Int64(quantity)
      if sumsProducts, let price = document.child("price", of: product) {
        if currency == nil { currency = try document.currency(Slot.currency) }
        if let currency { sum += try document.money(price, currency, times: quantity).minorUnits }
        if sum > Money.limit { throw .amountTooLarge }
        event.amount = Money(minorUnits: sum)
        event.hasAmount = true
      }
      if event.category.isEmpty { event.category = try document.cleaned(document.child("category", of: product)) }
      if event.product.isEmpty {
        let id = document.child("product_id", of: product) ?? document.child("sku", of: product)
        event.product = try document.text(id, limit: document.limits.maxTextBytes)
      }
    }
    if units > 0, document.node(Slot.quantity) == nil {
      guard units <= document.limits.maxQuantity else { throw .badQuantity }
      event.quantity = Int32(units)
    }
  }

  /// Traits are the sender's own too: what cannot be read is not there.
  private static func profile(_ document: ScannedDocument, into event: inout Event) {
    func node(_ trait: Trait) -> ScannedDocument.Node? {
      document.node(Slot.traits + trait.rawValue) ?? document.node(Slot.contextTraits + trait.rawValue)
    }
    event.profile.birthDate = try? document.birthDate(node(.birthday) ?? node(.birthDate), at: event.time)
    event.profile.gender = try? document.gender(node(.gender))
    event.profile.region = (try? document.attribute(node(.region) ?? node(.state))) ?? .empty
    event.profile.occupation = (try? document.attribute(node(.occupation) ?? node(.title))) ?? .empty
  }
}

extension ScannedDocument {
  func index(of node: Node) -> Int { node - nodes }

  func forEachElement<E: Error>(of array: Node, _ body: (Node) throws(E) -> Void) throws(E) {
    var at = index(of: array) + 1
    while at < Int(array.pointee.next) {
      let element = nodes + at
      at = Int(element.pointee.next)
      try body(element)
    }
  }

  /// A field of an object outside the format's paths (in a list of products); nil when absent or null.
  func child(_ name: String, of object: Node) -> Node? {
    var i = index(of: object) + 1
    while i < Int(object.pointee.next) {
      let key = ByteSlice(base: base + Int(nodes[i].key_at), count: Int(nodes[i].key_length))
      if key.equals(name) { return isNull(nodes + i) ? nil : nodes + i }
      i = Int(nodes[i].next)
    }
    return nil
  }
}
