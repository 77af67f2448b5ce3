// The command line. A flag that kube-proxy has too is just another way to set a field of the configuration: it goes
// through the same option table and the same checks.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "daemon/config/config.hpp"

namespace ipvsd {

enum class OutputFormat : std::uint8_t { table, json };
enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };

struct Flags {
  Config config;
  std::string config_file;      // --config; "" if the configuration came from flags alone
  std::string config_text;      // what that file held
  std::string manifests;        // --manifests: a directory to read instead of an API server
  std::string master;           // --master: the API server's URL, wins over the kubeconfig's
  bool dry_run = false;         // print the plan, touch nothing
  bool once = false;            // end after the first full sync
  bool cleanup = false;         // remove everything that is ours, then end
  bool hand_over = false;       // remove what kube-proxy does not know, then end
  bool init_only = false;       // set what needs privileges (sysctls), then end
  std::string write_config_to;  // write the effective configuration to this file, then end
  bool version = false;         // print the version, then end
  bool check = false;           // say what stands in the way on this node, then end
  OutputFormat output = OutputFormat::table;  // of --check
  LogLevel log_level = LogLevel::info;
  std::vector<std::string> warnings;       // to be logged once logging works
  std::vector<std::string> config_errors;  // with --check alone, which reports a wrong file instead of ending with it
};

// The process is to print `text` (to standard output if `status` is 0, else to standard error) and end with `status`:
// 0 after --help, 2 for a wrong command line, 1 for a wrong configuration file.
struct CommandLineExit {
  int status = 0;
  std::string text;
};

// With --config, flags that set fields of the configuration are ignored with a warning, as kube-proxy ignores them, all
// but
// --hostname-override; with --check, --kubeconfig as well, since the file may name one that only the Pod has. Reads the
// file that --config names; otherwise pure. Never throws.
[[nodiscard]] tl::expected<Flags, CommandLineExit> parse_flags(int argc, const char* const* argv);

}  // namespace ipvsd
