// Every input that fuzzing has kept, without libFuzzer: seeds, inputs that reach new code, and what once failed.

import Foundation
import FuzzChecks
import Testing

@Suite struct CorpusTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fuzz/Corpus")

  @Test(arguments: FuzzTarget.allCases) func whatFuzzingKeptHolds(target: FuzzTarget) throws {
    let folder = Self.folder.appendingPathComponent(target.rawValue)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names.count >= 2, "no corpus in \(folder.path)")
    for name in names {
      let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
      do throws(FuzzFinding) { try target.check(bytes) } catch { Issue.record("\(target) \(name): \(error)") }
      // Neighbours of each: one byte changed, one missing.
      for step in 0..<8 where !bytes.isEmpty {
        let at = (step * 7919 + bytes.count / 2) % bytes.count
        var changed = bytes
        changed[at] ^= UInt8(truncatingIfNeeded: 1 << step)
        var shorter = bytes
        shorter.remove(at: at)
        for other in [changed, shorter] {
          do throws(FuzzFinding) { try target.check(other) } catch {
            Issue.record("\(target) \(name) changed at \(at), bit \(step): \(error)")
          }
        }
      }
    }
  }
}
