// Looks at this node for --check. Writes nothing: no rule, no address, no virtual server, no setting. Asking the kernel
// for IPVS loads the module ip_vs where it is not loaded yet, as the daemon's start would.
#pragma once

#include "daemon/check/facts.hpp"
#include "daemon/config/config.hpp"

namespace ipvsd::check {

// What cannot be read is left as NodeFacts has it, or is named in one of its error members.
[[nodiscard]] NodeFacts observe_node(const Config& config);

}  // namespace ipvsd::check
