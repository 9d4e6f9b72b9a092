// What the synthetic shop sells and where its customers come from: small tables.

import Events

struct ShopProduct {
  var number: Int
  var category: StaticString
  /// In minor units of CNY.
  var price: Int64
}

enum ShopCatalogue {
  /// Categories with the price their cheapest product has, in CNY.
  static let categories: [(name: StaticString, price: Int64)] = [
    ("beauty/skin", 60), ("beauty/hair", 40), ("home/kitchen", 50), ("home/garden", 80), ("sports/running", 120),
    ("sports/outdoor", 150), ("books/novels", 20), ("food/snacks", 15), ("food/tea", 45), ("fashion/shoes", 200),
    ("fashion/bags", 350), ("electronics/audio", 400), ("electronics/phones", 1_800), ("toys/games", 70),
  ]
  static let productsPerCategory = 40

  /// A product of a category, at its fixed price: one to five times that of the cheapest.
  static func product(category: Int, _ number: Int) -> ShopProduct {
    let (name, cheapest) = categories[category % categories.count]
    let step = number % productsPerCategory
    let price = cheapest * 100 + cheapest * 10 * Int64(step) - 1
    return ShopProduct(number: category * productsPerCategory + step, category: name, price: price)
  }

  static let channels: [StaticString] = ["app", "web", "wechat", "store"]
  static let coupons: [StaticString] = ["SPRING", "WELCOME", "FREESHIP", "VIP"]
  static let regions: [StaticString] = [
    "Shanghai", "Beijing", "Shenzhen", "Guangzhou", "Hangzhou", "Chengdu", "Wuhan", "Nanjing", "Xiamen", "Dalian",
    "Lanzhou", "Leshan",
  ]
  static let occupations: [StaticString] = [
    "engineer", "teacher", "nurse", "student", "manager", "designer", "farmer", "driver", "retired",
  ]
  static let genders: [StaticString] = ["female", "male", "female", "male", "female", "male", "other"]

  /// 1 CNY-priced minor unit in a currency, at rates near those of the configuration.
  static func amount(_ price: Int64, in currency: ShopCurrency) -> Int64 {
    switch currency {
    case .cny, .unknown: price
    case .usd: max(1, price * 10 / 71)
    case .eur: max(1, price * 10 / 78)
    }
  }
}
