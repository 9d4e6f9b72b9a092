import Events
import Foundation
import Testing

@Suite struct CivilDateTests {
  @Test func countsEveryDayOf800Years() {
    // The oracle walks the calendar day by day.
    var date = CivilDate(year: 1600, month: 1, day: 1)
    var number = Int32(-135_140)
    while date.year < 2400 {
      #expect(date.localDay.number == number)
      let back = CivilDate(LocalDay(number: number))
      guard back == date else {
        Issue.record("day \(number) is \(date), not \(back)")
        return
      }
      number += 1
      date.day += 1
      if !date.isValid {
        date.day = 1
        date.month += 1
        if date.month == 13 {
          date.month = 1
          date.year += 1
        }
      }
    }
    #expect(CivilDate(year: 1970, month: 1, day: 1).localDay.number == 0)
  }

  @Test(arguments: [Int32.min, -719_529, -719_528, -1, 0, 1, 719_528, Int32.max])
  func everyLocalDayHasADate(number: Int32) {
    let date = CivilDate(LocalDay(number: number))
    #expect(date.isValid)
    #expect(date.localDay.number == number)
  }

  @Test func refusesDatesThatDoNotExist() {
    #expect(!CivilDate(year: 1900, month: 2, day: 29).isValid)
    #expect(CivilDate(year: 2000, month: 2, day: 29).isValid)
    #expect(!CivilDate(year: 2001, month: 13, day: 1).isValid)
    #expect(!CivilDate(year: 2001, month: 4, day: 31).isValid)
    #expect(!CivilDate(year: 2001, month: 4, day: 0).isValid)
  }

  @Test func someoneBornOnALeapDayAgesOnTheFirstOfMarch() {
    let birth = CivilDate(year: 2000, month: 2, day: 29).localDay
    let day = { (y: Int, m: Int, d: Int) in CivilDate(year: y, month: m, day: d).localDay }
    #expect(birth.age(on: birth) == 0)
    #expect(birth.age(on: day(2001, 2, 28)) == 0)
    #expect(birth.age(on: day(2001, 3, 1)) == 1)
    #expect(birth.age(on: day(2004, 2, 28)) == 3)
    #expect(birth.age(on: day(2004, 2, 29)) == 4)
    #expect(birth.age(on: day(1999, 12, 31)) == -1)
    #expect(birth.nextBirthday(after: birth) == day(2001, 3, 1))
    #expect(birth.nextBirthday(after: day(2003, 3, 1)) == day(2004, 2, 29))
    #expect(birth.nextBirthday(after: day(1990, 1, 1)) == birth)
  }

  @Test func nextBirthdayIsTheNextDayOnWhichAgeGrows() {
    var random = SplitMix64(seed: 7)
    for _ in 0..<500 {
      let birth = LocalDay(number: Int32.random(in: -20_000...15_000, using: &random))
      let today = birth + Int32.random(in: 0...30_000, using: &random)
      let age = birth.age(on: today)
      var next = today + 1
      while birth.age(on: next) == age { next = next + 1 }
      #expect(birth.nextBirthday(after: today) == next)
      #expect(birth.age(on: next) == age + 1)
    }
  }
}

/// A seeded generator for property tests.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
