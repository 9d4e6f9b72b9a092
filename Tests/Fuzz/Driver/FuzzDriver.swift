// libFuzzer's program: TIDEWATCH_FUZZ_TARGET says what is checked. Built only by `make fuzz`.

import CFuzzer
import FuzzChecks
import Glibc

@main
enum FuzzDriver {
  static let target = getenv("TIDEWATCH_FUZZ_TARGET").flatMap { FuzzTarget(rawValue: String(cString: $0)) }

  static func main() {
    guard target != nil else {
      let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
      print("set TIDEWATCH_FUZZ_TARGET to one of: \(names)")
      exit(64)
    }
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(
      LLVMFuzzerRunDriver(&count, &arguments) { data, size in
        guard let target = FuzzDriver.target else { return 0 }
        do throws(FuzzFinding) {
          try target.check(Array(UnsafeBufferPointer(start: data, count: size)))
        } catch {
          print("FINDING: \(error)")
          fflush(nil)
          abort()
        }
        return 0
      })
  }
}
