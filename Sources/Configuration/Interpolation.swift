// `${VAR}` and `${VAR:-default}` in values: how secrets stay out of the file.

enum InterpolationFailure: Error, Equatable {
  case unset(String)
  case unterminated
  case badName(String)
}

/// Replaces `${NAME}` by the environment's value and `${NAME:-text}` by the value or, where it is unset or empty, the
/// text. `$${` stands for a literal `${`. Nothing is replaced in what was put in.
func interpolate(_ text: String, environment: [String: String]) throws(InterpolationFailure) -> String {
  guard text.contains("${") else { return text }
  var output = ""
  var rest = Substring(text)
  while let dollar = rest.firstIndex(of: "$") {
    output += rest[..<dollar]
    rest = rest[dollar...]
    if rest.hasPrefix("$${") {
      output += "${"
      rest = rest.dropFirst(3)
    } else if rest.hasPrefix("${") {
      guard let close = rest.firstIndex(of: "}") else { throw .unterminated }
      let inside = rest[rest.index(rest.startIndex, offsetBy: 2)..<close]
      rest = rest[rest.index(after: close)...]
      let name = inside.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
      let tail = inside.dropFirst(name.count)
      guard !name.isEmpty, name.first?.isNumber == false, tail.isEmpty || tail.hasPrefix(":-") else {
        throw .badName(String(inside))
      }
      let value = environment[String(name)]
      if tail.isEmpty {
        guard let value else { throw .unset(String(name)) }
        output += value
      } else {
        output += value.flatMap { $0.isEmpty ? nil : $0 } ?? String(tail.dropFirst(2))
      }
    } else {
      output.append("$")
      rest = rest.dropFirst()
    }
  }
  return output + rest
}
