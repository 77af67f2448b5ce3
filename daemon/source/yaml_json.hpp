// YAML text -> JSON text, so that manifests and the API server's answers meet in one decoder. Scalars become what
// Kubernetes' own YAML reader (YAML 1.1) makes of them: plain yes, no, on, off, y, n are booleans, 0x1f, 0o17 and 017
// are integers, everything quoted is a string.
//
// Refused, with a line: merge keys (<<), tags other than the core ones, keys that are no scalars, a key given twice,
// .inf and .nan. Bounded: 16 MiB of text, depth 100, and 32 MiB of JSON, which also bounds what aliases expand to.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/result.hpp"

namespace ipvsd {

// One document of a YAML file.
struct JsonDocument {
  std::string json;
  int line = 1;                                // its first
  std::unordered_map<std::string, int> lines;  // by the path of a value, "spec.ports[0].port"

  // The line, from 1, of the value at the path, or else of the nearest one around it.
  [[nodiscard]] int line_of(std::string_view path) const;
};

// All documents that are not empty. Error (malformed): "line 12: ..."; interrupted: `stop` was requested.
[[nodiscard]] Result<std::vector<JsonDocument>> yaml_to_json(std::string_view text, const std::stop_token& stop = {});

}  // namespace ipvsd
