// From the operator's configuration to what the engine and the decoders take.

import Customers
import Engine
import Events
import Rules

extension Configuration {
  /// Loads the rule file and the time zone, and builds the engine's settings. Shared by `run`, `replay` and `check`.
  /// - Throws: `RuleFileError` for the rules, a time zone error, each with its place.
  public func engineSettings() throws -> EngineSettings {
    let rules = try RuleSet.load(path: rulesPath, exponent: currency.exponent)
    var settings = EngineSettings(rules: rules, churn: churn?.model, calendar: try ZonedCalendar(identifier: timeZone))
    settings.clockMode = clock == .event ? .event : .wall
    settings.currencyCode = currency.reporting
    settings.currencyExponent = currency.exponent
    settings.profiles = outputs.customerProfiles.enabled
    settings.topicNames = inputs.map(\.topic)

    settings.alerts.enabled = alerts.enabled && outputs.churnAlerts.enabled
    settings.alerts.window = alerts.window
    settings.alerts.silentAfter = alerts.silentAfter
    settings.alerts.expireAfter = alerts.expireAfter
    settings.alerts.holdoutPercent = alerts.holdoutPercent
    settings.alerts.backfillPerSecond = alerts.backfillPerSecond

    let majorUnit = (0..<currency.exponent).reduce(Int64(1)) { unit, _ in unit * 10 }
    settings.alerts.treatments = alerts.treatments.map {
      Treatment(name: $0.name, revenueAtLeast: Money(minorUnits: $0.revenueAtLeast * majorUnit))
    }

    settings.records.lateness = lateness
    settings.records.orderRetention = orderRetention
    settings.retention = state.retention
    settings.records.maxOrders = limits.ordersPerCustomer
    settings.records.maxCartItems = limits.cartItems
    settings.records.preferenceSlots = limits.categorySlots
    settings.records.maxSymbols = limits.names
    settings.records.preferenceHalfLife = limits.categoryHalfLife
    return settings
  }

  /// How long orders are kept one by one: they must outlast the longest window by the lateness horizon, or a late one would
  /// find its year archived.
  var orderRetention: TimeSpan {
    TimeSpan(microseconds: TimeSpan.days(Int64(Window.longestDays) + 7).microseconds + lateness.microseconds)
  }

  /// Rates to the reporting currency, as the decoders take them.
  public func currencyTable() throws -> CurrencyTable {
    guard let reporting = Events.Currency(currency.reporting), let assumed = Events.Currency(currency.fallback) else {
      throw issue(at: "currency.reporting", "'\(currency.reporting)' is not a currency").error
    }
    let rates = currency.rates.compactMap { rate in
      Events.Currency(rate.code).map { ExchangeRate(currency: $0, digits: rate.rate.digits, scale: rate.rate.scale) }
    }
    do throws(CurrencyError) {
      return try CurrencyTable(reporting: reporting, exponent: currency.exponent, assumed: assumed, rates: rates)
    } catch { throw issue(at: "currency.rates", "\(error)").error }
  }

  /// What the decoders accept.
  public var decodeLimits: DecodeLimits {
    var decode = DecodeLimits()
    decode.maxRecordBytes = limits.recordBytes
    decode.maxCustomerBytes = limits.customerIDBytes
    decode.maxTextBytes = limits.textBytes
    decode.maxDepth = limits.depth
    decode.maxFields = limits.fields
    decode.maxAhead = limits.future
    decode.oldest = Instant(seconds: Int64(limits.oldest.number) * 86_400)
    decode.maxQuantity = Int32(clamping: limits.quantity)
    return decode
  }
}

extension ConfigurationIssue {
  fileprivate var error: ConfigurationError { ConfigurationError([self]) }
}
