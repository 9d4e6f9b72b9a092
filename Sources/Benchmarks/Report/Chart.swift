// The charts of the documentation, as SVG written by hand: bars of throughput and the curve of the cost per event.

import CommandSupport
import Foundation

extension BenchmarkReport {
  /// The charts for which there are figures, by name.
  public var charts: [(name: String, svg: String)] {
    var all: [(name: String, svg: String)] = []
    let rates = figures.filter { $0.unit == "events/s" && ["floor", "run", "replay", "stages"].contains($0.part) }
    if !rates.isEmpty { all.append(("benchmarks-throughput", barChart(rates))) }
    let curve = figures.filter { $0.part == "curve" }
    if curve.count > 1 { all.append(("benchmarks-curve", curveChart(curve))) }
    return all
  }

  private var caption: String {
    "\(machine.cpu), \(machine.cores) cores; commit \(versions.commit), \(takenAt.prefix(10))"
  }

  private func barChart(_ figures: [Figure]) -> String {
    let top = figures.map(\.max).max() ?? 1
    let height = 56 + figures.count * 30
    var svg = begin(width: 720, height: height, title: "Events a second, median and range of the runs")
    for (row, figure) in figures.enumerated() {
      let y = 40 + row * 30
      func x(_ value: Double) -> String { fixedText(250 + 360 * value / top, 1) }
      svg += text(240, y + 14, "\(figure.part): \(figure.name)", anchor: "end")
      let width = fixedText(360 * figure.median / top, 1)
      svg += #"<rect x="250" y="\#(y)" width="\#(width)" height="20" fill="\#(color(figure.part))"/>"# + "\n"
      svg +=
        ##"<path d="M\##(x(figure.min)) \##(y + 10) H\##(x(figure.max))" stroke="#222" stroke-width="1.5"/>"## + "\n"
      svg += text(620, y + 14, shortRate(figure.median), anchor: "start")
    }
    return svg + text(10, height - 6, caption, anchor: "start", size: 10) + "</svg>\n"
  }

  private func color(_ part: String) -> String {
    switch part {
    case "floor": "#8a8a8a"
    case "run": "#2c6fbb"
    case "replay": "#2e9e6b"
    default: "#c0813a"
    }
  }

  /// Customers on a logarithmic scale, nanoseconds an event from 0.
  private func curveChart(_ figures: [Figure]) -> String {
    let points = figures.compactMap { figure -> (size: Double, figure: Figure)? in
      Double(figure.name.filter(\.isNumber)).map { ($0, figure) }
    }
    guard let first = points.first, let last = points.last, last.size > first.size else { return "" }
    let top = (points.map(\.figure.max).max() ?? 1) * 1.1
    func x(_ size: Double) -> Double { 70 + 600 * log(size / first.size) / log(last.size / first.size) }
    func y(_ value: Double) -> Double { 260 - 210 * value / top }
    var svg = begin(width: 720, height: 320, title: "Nanoseconds an event by number of customers, one thread")
    for share in [0.0, 0.25, 0.5, 0.75, 1] {
      let line = fixedText(y(top * share), 1)
      svg += ##"<path d="M70 \##(line) H680" stroke="#ddd"/>"## + "\n"
      svg += text(62, Int(y(top * share)) + 4, fixedText(top * share, 0), anchor: "end", size: 11)
    }
    let path = points.map { "\(fixedText(x($0.size), 1)) \(fixedText(y($0.figure.median), 1))" }
    svg += ##"<path d="M\##(path.joined(separator: " L"))" fill="none" stroke="#2c6fbb" stroke-width="2"/>"## + "\n"
    for point in points {
      let place = fixedText(x(point.size), 1)
      svg +=
        ##"<circle cx="\##(place)" cy="\##(fixedText(y(point.figure.median), 1))" r="4" fill="#2c6fbb"/>"## + "\n"
      svg +=
        ##"<path d="M\##(place) \##(fixedText(y(point.figure.min), 1)) V\##(fixedText(y(point.figure.max), 1))" stroke="#222"/>"##
        + "\n"
      svg += text(Int(x(point.size)), 280, shortRate(point.size), anchor: "middle", size: 11)
    }
    return svg + text(10, 312, caption, anchor: "start", size: 10) + "</svg>\n"
  }

  private func begin(width: Int, height: Int, title: String) -> String {
    ##"<svg xmlns="http://www.w3.org/2000/svg" width="\##(width)" height="\##(height)" viewBox="0 0 \##(width) \##(height)" "##
      + ##"font-family="system-ui, sans-serif" font-size="13">"## + "\n"
      + ##"<rect width="100%" height="100%" fill="#fff"/>"## + "\n" + text(10, 22, title, anchor: "start", size: 15)
  }

  private func text(_ x: Int, _ y: Int, _ content: String, anchor: String, size: Int = 13) -> String {
    let safe = content.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    return #"<text x="\#(x)" y="\#(y)" text-anchor="\#(anchor)" font-size="\#(size)">\#(safe)</text>"# + "\n"
  }
}

/// Puts `content` between the markers `<!-- name:begin -->` and `<!-- name:end -->` of a page.
/// - Throws: `BenchmarkError` when they are not there.
public func replacing(_ name: String, in page: String, with content: String) throws -> String {
  guard let begin = page.range(of: "<!-- \(name):begin -->"), let end = page.range(of: "<!-- \(name):end -->"),
    begin.upperBound <= end.lowerBound
  else { throw BenchmarkError("the page has no markers <!-- \(name):begin --> and <!-- \(name):end -->: add them") }
  return page[..<begin.upperBound] + "\n\n" + content + "\n" + page[end.lowerBound...]
}
