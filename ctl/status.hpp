// kube-ipvsctl status: what the daemon says of itself (/v1/status, docs/ctl-api.md). Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/result.hpp"

namespace ipvsd::ctl {

// Error: malformed if it is no status.
[[nodiscard]] Result<nlohmann::ordered_json> parse_status(std::string_view text);

[[nodiscard]] bool is_healthy(const nlohmann::ordered_json& status);

// Object and error of each that could not be written.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> failing_objects(const nlohmann::ordered_json& status);

// For a reader at a terminal.
[[nodiscard]] std::string status_table(const nlohmann::ordered_json& status);

}  // namespace ipvsd::ctl
