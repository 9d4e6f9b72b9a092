// Every limit of the rule language, by name: a rule file that exceeds one is refused with the limit's value.

/// Limits of a rule file and of what it compiles to. Those the machine uses are inlined into it as constants.
public enum RuleLimits {
  /// Bytes of a rule file.
  public static let fileBytes = 1 << 20
  /// Tags in a file.
  public static let tags = 256
  /// Named expressions under `define`.
  public static let definitions = 256
  /// Named lists under `lists`.
  public static let lists = 64
  /// Entries of one list.
  public static let listEntries = 4096
  /// Cases of one tag.
  public static let cases = 255
  /// Unicode scalars of one expression.
  public static let expressionLength = 4096
  /// Nesting of an expression, definitions unfolded.
  public static let expressionDepth = 64
  /// Operators, calls and operands of one tag, definitions unfolded.
  public static let nodesPerTag = 8192
  /// Cut points of one `score`.
  public static let scoreCuts = 9
  /// Arguments of `min` and `max`.
  public static let arguments = 16
  /// Characters of the name of a tag, case, list or definition.
  public static let nameLength = 64
  /// Characters of a title.
  public static let titleLength = 200
  /// Intermediate numbers an expression may hold at once.
  @inlinable public static var stackDepth: Int { 64 }
  /// Values that several rules read, kept while they are evaluated one after the other.
  @inlinable public static var sharedSlots: Int { 32 }
  /// Values that one rule reads several times, kept while it is evaluated.
  @inlinable public static var ownSlots: Int { 32 }
  /// Distinct instants one rule waits for.
  @inlinable public static var watches: Int { 120 }
  /// Instants `nextChange` looks at before it answers "check again here".
  @inlinable public static var changeCandidates: Int { 64 }
}
