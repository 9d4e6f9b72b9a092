// How the columns of a CSV file become events: the map, as plain values.

import Events

/// A checked import map. `ImportMap.load` reads it from YAML.
public struct ImportMap: Sendable {
  public struct Layout: Sendable {
    public enum Encoding: String, Sendable, CaseIterable {
      case utf8 = "utf-8"
      case latin1 = "latin-1"
    }
    public struct FixedColumn: Sendable {
      public var name: String
      /// First and last character, from 1.
      public var start: Int
      public var end: Int
    }
    public enum Columns: Sendable {
      /// Named by the first row.
      case header
      /// Named here, in order.
      case named([String])
      case fixed([FixedColumn])
    }
    public var columns = Columns.header
    public var delimiter = UInt8(ascii: ",")
    /// Lines to pass over before the first row (and before the header).
    public var skipLines = 0
    public var encoding = Encoding.utf8
  }

  /// A part of a text such as `evt-{invoice}-{row}`; `{row}` is the number of the row's first line.
  public enum TemplatePart: Sendable, Equatable {
    case text(String)
    case column(String)
    case row
  }

  /// A condition on a row.
  public indirect enum Condition: Sendable, Equatable {
    case isEmpty(column: String)
    case equals(column: String, String)
    case startsWith(column: String, String)
    case below(column: String, limit: String)
    case above(column: String, limit: String)
    case all([Condition])
    case not(Condition)
  }

  /// Rows that are left out, and under which name they are counted. The first filter that matches counts.
  public struct Filter: Sendable {
    public var name: String
    public var condition: Condition
  }

  /// One kind of event that rows become. The first whose condition holds takes the row.
  public struct EventRule: Sendable {
    public var type: EventType
    /// nil: every row that comes this far.
    public var when: Condition?
    public var fields: [Field: [TemplatePart]]
    /// Rows with an equal value become one event; its amount is the sum over them.
    public var groupBy: String?
    /// Amount of a row = the product of these columns; its absolute value if `absolute`.
    public var amount: [String]
    public var absolute: Bool
  }

  /// Fields of a native event that a map can fill.
  public enum Field: String, Sendable, CaseIterable {
    case id, customer, order, currency, quantity, category, product, channel, coupon, discount, region, gender,
      occupation
    case birthDate = "birth_date"
  }

  public var file: String
  public var layout: Layout
  public var timeColumn: String
  public var timeFormat: TimePattern
  public var timeZone: ZonedCalendar
  public var filters: [Filter]
  public var events: [EventRule]
  /// Events come out in order of time (needs all of them in memory).
  public var sortByTime: Bool
}
