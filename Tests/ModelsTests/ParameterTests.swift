// What is refused, in which words, and what the units mean.

import Events
import Models
import Testing

@Suite("Parameters") struct ParameterTests {
  @Test("weeks and days give the same model")
  func units() throws {
    let weeks = try MBGNBD(r: 0.5, alpha: 6, a: 0.9, b: 1.6, unit: .weeks)
    let days = try MBGNBD(r: 0.5, alpha: 42, a: 0.9, b: 1.6, unit: .days)
    #expect(weeks == days)
  }

  @Test("a value out of range names the parameter and the range", arguments: [-1, 0, .infinity, .nan, 1e10])
  func refused(value: Double) throws {
    func refusal(_ make: () throws -> Void) -> String? {
      do {
        try make()
        return nil
      } catch let error as ModelParameterError { return error.parameter } catch { return "\(error)" }
    }
    #expect(refusal { _ = try MBGNBD(r: value, alpha: 1, a: 1, b: 1, unit: .days) } == "r")
    #expect(refusal { _ = try MBGNBD(r: 1, alpha: value, a: 1, b: 1, unit: .weeks) } == "alpha")
    #expect(refusal { _ = try BGNBD(r: 1, alpha: 1, a: value, b: 1, unit: .days) } == "a")
    #expect(refusal { _ = try BGNBD(r: 1, alpha: 1, a: 1, b: value, unit: .days) } == "b")
    #expect(refusal { _ = try GammaGamma(p: value, q: 2, gamma: 1) } == "p")
    #expect(refusal { _ = try GammaGamma(p: 1, q: value, gamma: 1) } == "q")
    let parameters = ChurnModelPreset.cdnow.parameters
    #expect(
      refusal { _ = try ChurnModel(parameters: parameters, horizon: .days(60), version: "v", raise: value) }
        == "raise threshold")
    #expect(
      refusal { _ = try ChurnModel(parameters: parameters, horizon: .days(60), version: "v", lost: value) }
        == "lost threshold")
  }

  @Test("messages can be acted on")
  func messages() {
    #expect(throws: ModelParameterError.self) { try GammaGamma(p: 1, q: 1, gamma: 1) }
    do {
      _ = try MBGNBD(r: 1, alpha: -3, a: 1, b: 1, unit: .days)
      Issue.record("accepted alpha = -3")
    } catch {
      #expect(error.description == "MBG/NBD: parameter alpha is -3.0; it must be between 1e-06 and 1000000000.0 days")
    }
    do {
      _ = try ChurnModel(
        parameters: ChurnModelPreset.cdnow.parameters, horizon: .days(60), version: "v", raise: 0.5, clear: 0.55)
      Issue.record("accepted clear above raise")
    } catch {
      #expect(error.parameter == "clear threshold")
      #expect(error.description.contains("at most the raise threshold, 0.5"))
    }
    do {
      _ = try ChurnModelPreset.cdnow.model(horizon: .minutes(1))
      Issue.record("accepted a horizon of a minute")
    } catch { #expect(error.parameter == "horizon") }
  }

  @Test("a history is put in order")
  func history() {
    let history = PurchaseHistory(first: Instant(seconds: 100), last: Instant(seconds: 50), repeats: -1)
    #expect(history.last == history.first && history.repeats == 0 && history.recency == 0)
    #expect(history.silence(at: Instant(seconds: 86_500)) == 1)
    #expect(history.silence(at: Instant(seconds: 10)) == 0)
  }

  @Test("the preset is another shop's and says so")
  func preset() throws {
    let model = try ChurnModelPreset.cdnow.model()
    #expect(model.parameters == (try MBGNBD(r: 0.5248, alpha: 6.183, a: 0.8914, b: 1.614, unit: .weeks)))
    #expect(model.version == "mbgnbd-cdnow-1-h180d")
    #expect(model.raiseThreshold == 0.60 && model.clearThreshold == 0.55 && model.lostThreshold == 0.60)
    #expect(ChurnModelPreset.cdnow.warning.contains("not yours"))
  }
}
