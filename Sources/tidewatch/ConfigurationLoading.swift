// Loading the configuration for a command: errors become one message and the right exit status.

import CommandSupport
import Configuration
import Daemon

enum ConfigurationLoading {
  static func load(_ file: String) throws -> Configuration {
    do throws(ConfigurationError) {
      return try Configuration.load(file: file)
    } catch {
      throw CommandFailure(.configuration, "the configuration cannot be used:\n\(error)")
    }
  }

  /// Compiles the rules and loads the time zone.
  static func factory(_ configuration: Configuration) throws -> EngineFactory {
    do { return try EngineFactory(configuration) } catch { throw CommandFailure(.configuration, "\(error)") }
  }
}
