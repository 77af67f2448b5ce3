// The dump as JSON, by docs/schema/dump.schema.json. Members may be added to the schema; none changes its meaning or
// goes without a new apiVersion. Pure.
#pragma once

#include <string>

#include "ctl/observation.hpp"

namespace ipvsd::ctl {

// The text is json_head(), the virtual servers with commas between them, and json_tail(): a line for each, so that
// line-based tools work as well.
[[nodiscard]] std::string json_head();
[[nodiscard]] std::string json_text(const ObservedServer& server);
[[nodiscard]] std::string json_tail(const Observation& observation);

}  // namespace ipvsd::ctl
