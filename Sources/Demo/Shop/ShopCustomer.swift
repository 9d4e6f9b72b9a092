// One customer of the synthetic shop: lasting traits and what is in the cart.

import Events
import Glibc

struct ShopCustomer: Sendable {
  struct CartLine: Sendable {
    var category: Int
    var product: Int
  }

  var process: PurchaseProcess
  /// For everything but the purchases.
  var random: ShopRandom
  /// Visits without a purchase, a day.
  let browseRate: Double
  private let favourite: Int
  private let second: Int
  private let mainChannel: Int
  /// Share of orders with a coupon.
  let bargain: Double
  /// Chance of a ticket after an order.
  let complaint: Double
  /// How many pieces a basket holds.
  let appetite: Double
  let currency: ShopCurrency
  let birthYear: Int
  let region: Int
  var cart: [CartLine] = []
  /// Visits since leaving: there are few, ever further apart.
  var visitsAfterLeaving = 0

  init(_ settings: ShopSettings, number: Int, arrival: Instant) {
    process = PurchaseProcess(settings, customer: number, arrival: arrival)
    var random = ShopRandom(seed: settings.seed, customer: number, stream: 3)
    browseRate = 0.03 + process.rate * random.between(0.3, 1.2)
    // Squared: some categories are much more popular than others.
    func popular() -> Int { Int(pow(random.uniform(), 1.6) * Double(ShopCatalogue.categories.count)) }
    favourite = popular()
    second = popular()
    mainChannel = random.below(ShopCatalogue.channels.count)
    bargain = random.chance(0.25) ? random.between(0.6, 0.95) : random.between(0.02, 0.35)
    complaint = random.chance(0.08) ? 0.5 : 0.03
    appetite = random.between(1, 3)
    let home = random.uniform()
    currency = home < 0.92 ? .cny : home < 0.97 ? .usd : .eur
    birthYear = 1950 + Int((random.uniform() + random.uniform()) * 29)
    region = random.below(ShopCatalogue.regions.count)
    self.random = random
  }

  /// Left for good: no purchase will come.
  var hasLeft: Bool { process.upcoming == nil }

  mutating func pickChannel() -> StaticString {
    let index = random.chance(0.75) ? mainChannel : random.below(ShopCatalogue.channels.count)
    return ShopCatalogue.channels[index]
  }

  mutating func pickProduct() -> CartLine {
    let mood = random.uniform()
    let category = mood < 0.5 ? favourite : mood < 0.7 ? second : random.below(ShopCatalogue.categories.count)
    return CartLine(category: category, product: random.below(ShopCatalogue.productsPerCategory))
  }

  mutating func makeProfile() -> ShopProfile {
    ShopProfile(
      birth: CivilDate(year: birthYear, month: 1 + random.below(12), day: 1 + random.below(28)),
      gender: ShopCatalogue.genders[random.below(ShopCatalogue.genders.count)],
      region: ShopCatalogue.regions[region],
      occupation: ShopCatalogue.occupations[random.below(ShopCatalogue.occupations.count)])
  }
}
