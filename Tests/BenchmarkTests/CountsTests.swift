// The guard of allocations and instructions: it reads callgrind's file right, and it fails when something costs more.

import Benchmarks
import Foundation
import Testing

@Suite struct CountsTests {
  @Test func callgrindsFileIsReadByFunction() {
    let profile = CallgrindProfile(
      text: """
        # callgrind format
        version: 1
        positions: line
        events: Ir
        ob=(1) /usr/bin/x
        fl=(1) a.swift
        fn=(1) $s6Events12EventDecoderV
        10 5
        +3 7
        cob=(2) libc
        cfi=(2) b.c
        cfn=(2) __memcpy_avx_unaligned
        calls=3 20
        12 300
        fi=(3) inlined.swift
        * 4
        fn=(2)
        20 100
        -1 200
        fn=(3) _ZN8simdjson5parse'2
        1 11
        fn=(4) swift_retain
        1 13
        fn=(5) __libc_malloc
        1 17
        fn=(6) $sSa6append
        1 19

        totals: 376
        """)
    #expect(profile.total == 376)
    #expect(profile.byFunction["$s6Events12EventDecoderV"] == 16)
    #expect(
      profile.byModule == [
        "Events": 16, "memory copies": 300, "JSON scan": 11, "Swift runtime": 13, "malloc": 17,
        "Swift standard library": 19,
      ])
  }

  @Test func moreThanTheThresholdIsAFailureAndMuchLessIsSaid() throws {
    var limits = Counts()
    limits.mallocsPer1000Events = ["rules": 0, "state": 100]
    limits.instructionsPerEvent = ["rules": 10_000, "state": 1_000]
    func verdicts(_ mallocs: Double, _ instructions: Double) -> [CountFinding.Verdict] {
      var counts = Counts()
      counts.mallocsPer1000Events = ["rules": mallocs]
      counts.instructionsPerEvent = ["rules": instructions]
      return counts.findings(against: limits).map(\.verdict)
    }
    #expect(verdicts(0, 10_000) == [.fits, .fits])
    #expect(verdicts(1.9, 10_290) == [.fits, .fits])
    #expect(verdicts(2.1, 10_310) == [.exceeds, .exceeds])
    #expect(verdicts(1_000, 8_999) == [.exceeds, .isLoose])
    var other = Counts()
    other.mallocsPer1000Events = ["new": 1, "state": 50]
    #expect(other.findings(against: limits).map(\.verdict) == [.hasNoThreshold, .isLoose])
    #expect(try Counts(json: limits.json()) == limits)
  }

  @Test func theTableShowsStagesByDifferenceAndModulesBySize() {
    let stages = ["parse": 1_000.0, "state": 3_000, "five-tags": 3_500, "rules": 9_000]
    let now = InstructionTable(commit: "new", stages: stages, modules: ["Rules": 5_000, "Events": 900, "other": 0])
    let before = InstructionTable(
      commit: "old", stages: stages.mapValues { $0 * 2 }, modules: ["Rules": 9_000, "malloc": 700])
    let text = now.markdown(before: before)
    let rows = text.split(separator: "\n").map {
      $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    #expect(rows[0] == ["one event", "instructions at old", "at new"])
    #expect(rows[3] == ["customer's record", "4,000", "2,000"])
    #expect(rows[5] == ["default rules, model, alerts, with outputs", "12,000", "6,000"])
    #expect(
      rows.map { $0[0] }.suffix(3) == [
        "&nbsp;&nbsp;of which in Rules", "&nbsp;&nbsp;of which in Events",
        "&nbsp;&nbsp;of which in malloc",
      ])
    #expect(!now.markdown(before: nil).contains("old"))
  }
}
