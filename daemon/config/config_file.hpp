// Reads a KubeProxyConfiguration file, strictly: what kube-proxy would skip with a warning (unknown and duplicate
// fields) is an error here.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "daemon/config/config.hpp"

namespace ipvsd {

struct LoadedConfig {
  Config config;
  std::vector<std::string> warnings;  // "file:12: featureGates: has no effect here: ..."
};

// All errors at once, a line each: "file:12: ipvs.syncPeriod: expected a duration ..., got "x"".
using ConfigResult = tl::expected<LoadedConfig, std::vector<std::string>>;

// `file_name` is for messages. Pure; never throws. Follows Go's defaulting: a missing, null, zero or empty value of a
// field that has a default means the default.
[[nodiscard]] ConfigResult parse_config(std::string_view yaml, std::string file_name);
[[nodiscard]] Result<std::string> read_config_text(const std::string& path);
// Both. A file that cannot be read is one error.
[[nodiscard]] ConfigResult read_config(const std::string& path);

// The name of our Node object: the override or else the host name, trimmed and in lower case, as kube-proxy does
// (nodeutil.GetHostname). Error: malformed where both are empty.
[[nodiscard]] Result<std::string> node_name(const Config& config, std::string_view hostname);

}  // namespace ipvsd
