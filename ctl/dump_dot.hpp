// The dump as a graph for graphviz: Service -> virtual servers -> endpoints. Pure.
#pragma once

#include <string>

#include "ctl/names.hpp"
#include "ctl/observation.hpp"

namespace ipvsd::ctl {

// The text is dot_head(), the virtual servers, dot_tail().
[[nodiscard]] std::string dot_head();
[[nodiscard]] std::string dot_text(const ObservedServer& server, const Names& names);
[[nodiscard]] std::string dot_tail();

}  // namespace ipvsd::ctl
