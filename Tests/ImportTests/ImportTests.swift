// CSV quirks, map mistakes, and the accounting of rows, on small files.

import Events
import Foundation
import Import
import InputFiles
import Testing

private let header = """
  version: 1
  time: { column: when, format: "yyyy-MM-dd HH:mm:ss", zone: Asia/Shanghai }

  """
private let orders = """
  events:
    - type: order_paid
      group_by: invoice
      amount: [quantity, price]
      set: { id: "i-{invoice}", customer: "{who}", order: "{invoice}", currency: CNY }

  """

private func withFile<T>(_ bytes: [UInt8], _ body: (String) throws -> T) throws -> T {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("tidewatch-import-\(UUID().uuidString).csv")
    .path
  #expect(FileManager.default.createFile(atPath: path, contents: Data(bytes)))
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

private func run(_ yaml: String, _ csv: [UInt8]) throws -> (ImportReport, [String]) {
  try withFile(csv) { path in
    var lines: [String] = []
    let report = try Importer.run(map: try ImportMap(yaml: yaml, file: "map.yaml"), inputs: [path]) {
      lines.append(String(decoding: $0, as: UTF8.self))
    }
    #expect(report.rows == report.applied + report.filteredRows + report.rejected)
    return (report, lines)
  }
}

@Test func linesOfAnInvoiceBecomeOneOrder() throws {
  let csv = """
    when,who,invoice,quantity,price
    2026-03-01 08:00:01,c-1,7,2,10.25
    2026-03-01 08:00:00,c-1,7,1,0.10
    2026-02-28 09:00:00,c-2,6,1,5
    """
  let (report, lines) = try run(header + orders, Array(csv.utf8))
  #expect(report.applied == 3)
  #expect(
    lines == [
      #"{"type":"order_paid","ts":1772240400000,"id":"i-6","customer":"c-2","order":"6","currency":"CNY","amount":5}"#
        + "\n",
      #"{"type":"order_paid","ts":1772323200000,"id":"i-7","customer":"c-1","order":"7","currency":"CNY","amount":20.6}"#
        + "\n",
    ])
}

@Test func quotesCommasLineEndsAndByteOrderMark() throws {
  let csv = "\u{feff}\"when\",who,invoice,quantity,price\r\n2026-03-01 08:00:00,\"a \"\"b\"\",\nc\",1,1,1\r\n\r\n"
  let (report, lines) = try run(header + orders, Array(csv.utf8))
  #expect(report.rows == 1)
  #expect(lines.count == 1 && lines[0].contains(#""customer":"a \"b\",\u000ac""#))
}

@Test func everyRowIsAccountedFor() throws {
  let yaml = header + "filters:\n  - { name: anonymous, when: { empty: who } }\n" + orders
  let csv = """
    when,who,invoice,quantity,price
    2026-03-01 08:00:00,,1,1,1
    2026-03-01 08:00:00,c-1,2,x,1
    yesterday,c-1,3,1,1
    2026-03-01 08:00:00,c-1,4,1,1
    2026-03-01 08:00:00,c-2,4,1,1
    2026-03-01 08:00:00,"c-1
    """
  let (report, lines) = try run(yaml, Array(csv.utf8))
  #expect(report.rows == 6 && report.filteredRows == 1 && report.applied == 1 && lines.count == 1)
  #expect(report.rejections.map(\.line) == [3, 4, 6, 7])
  #expect(report.rejections[0].reason.contains("'x' in column 'quantity' is no amount"))
  #expect(report.rejections[1].reason.contains("'yesterday'"))
  #expect(report.rejections[2].reason.contains("belongs to another customer"))
  #expect(report.rejections[3].reason.contains("not closed"))
}

@Test("a number that cannot be read is said, not filtered away by a comparison with it") func unreadableNumbers() throws
{
  let yaml =
    header + "filters:\n  - { name: free, when: { not: { above: { price: 0 } } } }\n"
    + "  - { name: many, when: { all: [{ equals: { who: c-2 } }, { above: { quantity: 10 } }] } }\n" + orders
  let csv = """
    when,who,invoice,quantity,price
    2026-03-01 08:00:00,c-1,1,1,"2,55"
    2026-03-01 08:00:00,c-1,2,1,0
    2026-03-01 08:00:00,c-1,3,1,
    2026-03-01 08:00:00,c-2,4,1O,1
    2026-03-01 08:00:00,c-1,5,1,1
    """
  let (report, lines) = try run(yaml, Array(csv.utf8))
  #expect(report.rows == 5 && report.filteredRows == 2 && report.applied == 1 && lines.count == 1)
  #expect(
    report.rejections.map(\.reason) == [
      "'2,55' in column 'price' is no number, and the map compares it with one",
      "'1O' in column 'quantity' is no number, and the map compares it with one",
    ])
}

@Test(
  "fields are never taken from a row that has more or fewer than the file",
  arguments: [
    "2026-03-01 08:00:00,c-1,1,1,12,55", "2026-03-01 08:00:00,c-1,1,1", "2026-03-01 08:00:00,c-1,1,1,1,",
  ])
func rowsOfAnotherWidth(row: String) throws {
  let csv = "when,who,invoice,quantity,price\n2026-03-01 08:00:00,c-1,1,1,1\n\(row)\n2026-03-01 08:00:00,c-1,3,1,1"
  for yaml in [header, header + "layout: { columns: [when, who, invoice, quantity, price], skip_lines: 1 }\n"] {
    let (report, _) = try run(yaml + orders, Array(csv.utf8))
    #expect(report.rows == 3 && report.applied == 2)
    #expect(report.rejections.first?.line == 3)
    #expect(report.rejections.first?.reason.contains("fields and the file 5 columns") == true)
  }
}

@Test func anEmptyFileIsNamed() throws {
  let error = #expect(throws: InputFileError.self) { _ = try run(header + orders, []) }
  #expect(error?.description.contains("is empty") == true)
}

@Test func latin1IsReadWhenTheMapSaysSo() throws {
  let csv = Array("when,who,invoice,quantity,price\n2026-03-01 08:00:00,caf".utf8) + [0xe9] + Array(",1,1,1\n".utf8)
  let (rejected, _) = try run(header + orders, csv)
  #expect(rejected.rejected == 1)
  let (report, lines) = try run(header + "layout: { encoding: latin-1 }\n" + orders, csv)
  #expect(report.applied == 1 && lines[0].contains("café"))
}

@Test func mistakesInTheMapNameTheirPlace() throws {
  let yaml = """
    version: 1
    layuot: { columns: header }
    time: { column: when, format: "dd/mm/yy" }
    events:
      - type: order_payd
        set: { customer: "{who}" }
    """
  let error = #expect(throws: ImportMapError.self) { try ImportMap(yaml: yaml, file: "m.yaml") }
  let text = error?.description ?? ""
  #expect(text.contains("m.yaml:2:1: unknown key 'layuot' in the map; did you mean 'layout'?"))
  #expect(text.contains("m.yaml:3:31: time.format 'dd/mm/yy'"))
  #expect(text.contains("m.yaml:5:11: unknown event type 'order_payd'; did you mean 'order_paid'?"))
}

@Test func aMissingColumnIsNamed() throws {
  let error = #expect(throws: ImportMapError.self) { _ = try run(header + orders, Array("when,who\n".utf8)) }
  #expect(error?.description.contains("has no column 'invoice'") == true)
}

/// Whatever is written as CSV comes back field by field.
@Test func randomRowsComeBack() throws {
  var random = SystemRandomNumberGenerator()
  let alphabet = Array(" ab\"\n\r,;é漢\\{}".unicodeScalars).map(String.init)
  let yaml = """
    version: 1
    time: { column: t, format: epoch_s }
    events: [{ type: page_view, set: { id: "{row}", customer: "x{a}x", category: "{b}" } }]
    sort: none
    """
  for _ in 0..<300 {
    func field() -> String {
      (0..<Int.random(in: 0...6, using: &random)).map { _ in alphabet.randomElement() ?? "" }.joined()
    }
    let rows = (0..<5).map { _ in (field(), field()) }
    func quoted(_ text: String) -> String { "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" }
    let csv = "t,a,b\n" + rows.map { "0,\(quoted($0.0)),\(quoted($0.1))\n" }.joined()
    let (report, lines) = try run(yaml, Array(csv.utf8))
    #expect(report.applied == 5)
    for (line, row) in zip(lines, rows) {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let trim = { (text: String) in text.trimmingCharacters(in: CharacterSet(charactersIn: " \t")) }
      #expect(object["customer"] as? String == "x\(trim(row.0))x")
      #expect(object["category"] as? String ?? "" == trim(row.1))
    }
  }
}
