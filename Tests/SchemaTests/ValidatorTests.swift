// The validator itself: each keyword accepts and refuses, and nothing unknown passes.

import SchemaTesting
import Testing

private func json(_ text: String) throws -> JSONValue { try JSONValue(text.utf8) }
private func isValid(_ value: String, _ schema: String) throws -> Bool {
  try JSONSchema(json(schema)).problems(of: json(value)).isEmpty
}

@Suite struct ValidatorTests {
  /// Schema, a valid value, an invalid one.
  @Test(arguments: [
    (#"{"type":"integer"}"#, "3", "3.5"), (#"{"type":"integer"}"#, "-3.0", #""3""#),
    (#"{"type":["null","boolean"]}"#, "null", "0"), (#"{"const":true}"#, "true", "false"),
    (#"{"enum":["a",1]}"#, "1.0", "2"), (#"{"minimum":0}"#, "0", "-0.1"), (#"{"maximum":1}"#, "1", "1.1"),
    (#"{"minLength":1}"#, #""\u00e9""#, #""""#), (#"{"maxLength":1}"#, #""é""#, #""ab""#),
    (#"{"pattern":"^a+$"}"#, #""aa""#, #""ab""#), (#"{"required":["a"]}"#, #"{"a":null}"#, "{}"),
    (#"{"properties":{"a":{"type":"null"}}}"#, #"{"a":null,"b":1}"#, #"{"a":1}"#),
    (#"{"properties":{"a":true},"additionalProperties":false}"#, #"{"a":1}"#, #"{"b":1}"#),
    (#"{"additionalProperties":{"type":"string"}}"#, #"{"a":"x"}"#, #"{"a":1}"#),
    (#"{"propertyNames":{"pattern":"^a"}}"#, #"{"ab":1}"#, #"{"b":1}"#),
    (#"{"items":{"type":"null"},"maxItems":2}"#, "[null]", "[1]"), (#"{"maxItems":1}"#, "[1]", "[1,2]"),
    (#"{"minItems":1}"#, "[1]", "[]"), (#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, "2", "3"),
    (#"{"oneOf":[{"minimum":1},{"maximum":2}]}"#, "3", "2"),
    (##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"null"}}}"##, "null", "1"),
    (#"{"properties":{"a":false}}"#, "{}", #"{"a":1}"#),
    (#"{"anyOf":[{"minimum":3},{"maximum":2}]}"#, "2", "2.5"),
    (#"{"if":{"minimum":1},"then":{"minimum":2}}"#, "0", "1"),
  ]) func keywords(schema: String, good: String, bad: String) throws {
    #expect(try isValid(good, schema))
    #expect(try !isValid(bad, schema))
  }

  @Test(arguments: [
    #"{"format":"date"}"#, #"{"properties":{"a":{"minimun":1}}}"#, ##"{"$ref":"#/$defs/b","$defs":{"a":true}}"##,
    #"{"type":"float"}"#, #"{"pattern":"("}"#, "3", #"{"properties":{"a":{"$defs":{}}}}"#,
  ]) func wrongSchemasAreRefused(schema: String) throws {
    #expect(throws: JSONError.self) { try JSONSchema(json(schema)) }
  }

  @Test(arguments: [
    "", "{", "[1,]", #"{"a":1,}"#, "01", "1.", ".5", "+1", "nul", "NaN", #"{"a":1,"a":2}"#, "1 2", #""\x""#,
    "\"\n\"", #""\ud800""#, #""abc"#, "1e", "--1",
  ]) func wrongJSONIsRefused(text: String) throws {
    #expect(throws: JSONError.self) { try json(text) }
  }

  @Test func jsonIsRead() throws {
    let value = try json(#" {"a":[1,-0.5e+3,true,null],"b":"\u00e9\ud83d\ude00\n","c":{}} "#)
    #expect(value["a"] == .array([.number("1"), .number("-0.5e+3"), .bool(true), .null]))
    #expect(value["b"] == .string("é😀\n"))
    #expect(value["c"] == .object([]))
    #expect(throws: JSONError.self) { try JSONValue([0x22, 0xff, 0x22]) }
  }
}
