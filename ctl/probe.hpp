// Tries backends from this node.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "ctl/explain.hpp"

namespace ipvsd::ctl {

// All at once: a TCP connection each, closed again at once. Those of the other protocols are left out: a datagram that
// nobody answers says nothing. At most some hundred; the others are left out.
[[nodiscard]] std::map<DestinationKey, ProbeResult> probe(const std::vector<DestinationKey>& backends,
                                                          Protocol protocol, std::chrono::milliseconds deadline);

}  // namespace ipvsd::ctl
