// `tidewatch loadgen`: the reference workload, into a file or a topic.

import ArgumentParser
import CommandSupport
import Events
import Kafka
import LoadGenerator

struct LoadgenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "loadgen",
    abstract: "Make a synthetic workload, into a file or a topic.",
    discussion: """
      Writes native events in the order of their times, about 248 bytes each: 60 % views, 12 % searches, 8 % favourites, \
      10 % carts, 8 % paid orders, 1 % refunds of earlier orders and 1 % tickets, of customers with a mild Zipf skew. \
      Equal options give equal bytes, on every machine.

      With --bootstrap the events go into a topic, keyed by customer and partitioned as Java clients do (murmur2); the \
      topic is created if it is missing.

      EXIT STATUS: 0 done; 64 wrong arguments; 69 Kafka cannot be reached or refuses the topic; 73 the file cannot be \
      created; 74 writing failed.
      """)

  @Option(help: "How many customers there are; each event picks one.")
  var customers = 1_000_000

  @Option(help: "How many events to make.")
  var events = 5_000_000

  @Option(help: "Over how many days they are spread.")
  var days = 60

  @Option(help: "Another seed gives another workload of the same shape.")
  var seed: UInt64 = 1

  @Option(help: "The time of the first event (RFC 3339).")
  var start = "2026-03-01T00:00:00Z"

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where to write the events; - is standard output.", valueName: "file"))
  var output: String?

  @Option(help: ArgumentHelp("Produce into Kafka instead: the brokers.", valueName: "host:port"))
  var bootstrap: String?

  @Option(help: "With --bootstrap: the topic.")
  var topic: String?

  @Option(help: "With --bootstrap: how many partitions the topic has.")
  var partitions: Int32 = 4

  @Option(help: "With --bootstrap: events a second. Default: as many as the broker takes.")
  var rate: Double?

  func validate() throws {
    guard (output == nil) != (bootstrap == nil) else {
      throw ValidationError("give either --output, or --bootstrap and --topic")
    }
    guard (bootstrap == nil) == (topic == nil) else { throw ValidationError("--bootstrap and --topic go together") }
    if bootstrap == nil, rate != nil { throw ValidationError("--rate is for --bootstrap") }
    guard LoadOptions.customersRange.contains(customers) else {
      throw ValidationError("--customers is \(customers); it can be 1 to \(LoadOptions.customersRange.upperBound)")
    }
    guard LoadOptions.daysRange.contains(days) else {
      throw ValidationError("--days is \(days); it can be 1 to \(LoadOptions.daysRange.upperBound)")
    }
    guard events >= 0 else { throw ValidationError("--events is \(events); it can be 0 or more") }
    guard (1...10_000).contains(partitions) else {
      throw ValidationError("--partitions is \(partitions); it can be 1 to 10000")
    }
    if let rate, !(rate > 0) { throw ValidationError("--rate is \(rate); it must be above 0") }
    guard let first = Instant(rfc3339Text: start), first >= Instant(seconds: 0) else {
      throw ValidationError("--start is '\(start)'; write a time after 1970 like 2026-03-01T00:00:00Z")
    }
  }

  func run() throws {
    var options = LoadOptions()
    options.customers = customers
    options.events = events
    options.days = days
    options.seed = seed
    if let first = Instant(rfc3339Text: start) { options.start = first }
    if let bootstrap, let topic {
      try produce(options, bootstrap: bootstrap, topic: topic)
    } else {
      try write(options)
    }
  }

  private func write(_ options: LoadOptions) throws {
    var file = try OutputFile(output)
    var generator = LoadGenerator(options)
    // A line on the terminal would stand between the events there.
    var progress = Progress(
      "loadgen", unit: "events", total: UInt64(options.events), style: output == "-" ? Progress.Style.none : nil)
    let size = 1 << 20
    let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
    defer { buffer.deallocate() }
    while !generator.isAtEnd {
      var used = 0
      while used + LoadGenerator.maxLineBytes < size, !generator.isAtEnd {
        used += generator.next(into: buffer + used).length
        buffer[used] = UInt8(ascii: "\n")
        used += 1
      }
      do { try file.write(UnsafeRawBufferPointer(start: buffer, count: used)) } catch {
        progress.clear()
        throw error
      }
      progress.update(done: UInt64(generator.made), items: UInt64(generator.made))
    }
    try file.finish()
    progress.finish(done: UInt64(options.events), items: UInt64(options.events))
  }

  private func produce(_ options: LoadOptions, bootstrap: String, topic: String) throws {
    var settings = KafkaLoadOptions(bootstrap: bootstrap, topic: topic)
    settings.partitions = partitions
    settings.rate = rate
    var progress = Progress("loadgen", unit: "events", total: UInt64(options.events))
    do {
      let load = try KafkaLoad(settings)
      var generator = LoadGenerator(options)
      try load.produce(&generator, rate: rate) { made in
        progress.update(done: UInt64(made), items: UInt64(made))
        return true
      }
    } catch {
      progress.clear()
      throw CommandFailure(.unavailable, "\(error)")
    }
    progress.finish(done: UInt64(options.events), items: UInt64(options.events))
  }
}
