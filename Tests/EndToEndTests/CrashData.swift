// Real purchases for the crash tests: CDNOW through the importer.

import Foundation
import Import

enum CrashData {
  /// The whole cohort, when the data directory is there.
  static let cdnow: String? = {
    let directory =
      ProcessInfo.processInfo.environment["TIDEWATCH_TEST_DATA"]
      ?? Binary.package.appendingPathComponent("../shared/data").path
    let path = directory + "/CDNOW_master.txt.gz"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }()

  private static let rules = """
    version: 1
    tags:
      - name: sleeping
        layer: behaviour
        title: { en: Sleeping, zh: 沉睡 }
        when: orders.days_since_last >= 90
      - name: frequency
        layer: behaviour
        title: { en: Frequency, zh: 频率 }
        cases:
          high: orders.count(90d) >= 4
          low: orders.count(90d) >= 1
      - name: loyal
        layer: value
        title: { en: Loyal, zh: 忠诚 }
        when: orders.repeat_rate >= 0.5
    """

  /// Its purchases, in order of time.
  static func purchases() throws -> CrashStream {
    guard let cdnow else { throw BinaryError(description: "no CDNOW data") }
    let map = try ImportMap.load(path: Binary.package.path + "/config/import/cdnow-master.yaml")
    var records: [CrashRecord] = []
    _ = try Importer.run(map: map, inputs: [cdnow]) { line in
      let value = String(decoding: line.dropLast(), as: UTF8.self)
      records.append(CrashRecord(key: Fields.value("customer", in: value), value: value))
    }
    return CrashStream(
      records: records, until: "1998-12-31T00:00:00Z", isInOrder: true,
      rules: rules,
      configuration: """
        churn: { preset: cdnow, horizon: 180d }
        currency: { reporting: USD, default: USD }
        """)
  }
}
