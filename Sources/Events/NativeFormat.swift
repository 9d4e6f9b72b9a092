// The native format: one flat JSON object an event, as the README describes it.

/// Fields of the native format. `profile_update` reads birth_date, gender, region and occupation; `identity_link` reads
/// `other` (the id that is the same customer); `alert_ack` reads `alert_id`.
enum NativeFormat {
  enum Slot {
    static let id = 0
    static let type = 1
    static let customer = 2
    static let time = 3
    static let order = 4
    static let amount = 5
    static let currency = 6
    static let quantity = 7
    static let category = 8
    static let product = 9
    static let channel = 10
    static let coupon = 11
    static let discount = 12
    static let birthDate = 13
    static let gender = 14
    static let region = 15
    static let occupation = 16
    static let other = 17
    static let alert = 18
  }

  static let fields = [
    FieldPath("id", Slot.id), FieldPath("type", Slot.type), FieldPath("customer", Slot.customer),
    FieldPath("ts", Slot.time), FieldPath("order", Slot.order), FieldPath("amount", Slot.amount),
    FieldPath("currency", Slot.currency), FieldPath("quantity", Slot.quantity), FieldPath("category", Slot.category),
    FieldPath("product", Slot.product), FieldPath("channel", Slot.channel), FieldPath("coupon", Slot.coupon),
    FieldPath("discount", Slot.discount), FieldPath("birth_date", Slot.birthDate), FieldPath("gender", Slot.gender),
    FieldPath("region", Slot.region), FieldPath("occupation", Slot.occupation), FieldPath("other", Slot.other),
    FieldPath("alert_id", Slot.alert),
  ]

  static var names: EventNames { EventNames(EventType.allCases.map { ($0.name, $0) }) }

  static func decode(
    _ document: ScannedDocument, into event: inout Event
  ) throws(RejectReason) {
    event.customer = try document.customer(document.node(Slot.customer))
    if event.customer.isEmpty { throw .missingCustomer }
    let type = try document.cleaned(document.node(Slot.type), wrong: .badType)
    if type.isEmpty { throw .missingType }
    event.type = document.type(type) ?? .activity
    guard let time = document.node(Slot.time) else { throw .missingTimestamp }
    event.time = try document.time(time)

    event.id = try document.text(Slot.id)
    let order = try document.text(Slot.order)
    if !order.isEmpty { event.orderHash = order.hash() }
    event.category = try document.cleaned(Slot.category)
    event.channel = try document.cleaned(Slot.channel)
    event.product = try document.text(Slot.product)
    event.hasCoupon = try !document.text(Slot.coupon).isEmpty
    event.quantity = try document.quantity(document.node(Slot.quantity))
    let amount = document.node(Slot.amount)
    let discount = document.node(Slot.discount)
    if amount != nil || discount != nil {
      let currency = try document.currency(Slot.currency)
      if let amount {
        event.amount = try document.money(amount, currency)
        event.hasAmount = true
      }
      event.discount = try document.discount(discount, currency)
    }

    switch event.type {
    case .profileUpdate:
      event.profile.birthDate = try document.birthDate(document.node(Slot.birthDate), at: event.time)
      event.profile.gender = try document.gender(document.node(Slot.gender))
      event.profile.region = try document.attribute(document.node(Slot.region))
      event.profile.occupation = try document.attribute(document.node(Slot.occupation))
    case .identityLink:
      event.reference = try document.customer(document.node(Slot.other))
    case .alertAck:
      event.reference = try document.text(Slot.alert)
    default: break
    }
  }
}
