// Plain YAML scalars as JSON values.
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd {

// What the plain (unquoted, untagged) scalar means: null, true, a number, or a JSON string. Error: .inf, .nan.
[[nodiscard]] Result<std::string> resolve_plain_scalar(std::string_view text);

// A JSON string with its quotes. `text` must be valid UTF-8.
[[nodiscard]] std::string quote_json(std::string_view text);

}  // namespace ipvsd
