// Tries backends from this node.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "ctl/explain.hpp"

namespace ipvsd::ctl {

// All at once, at most probe_limit of them; the others are not in the result. TCP and SCTP: a connection each, closed
// again at once. UDP: an empty datagram each, for which a reply says that the backend lives and an ICMP "port
// unreachable" that nobody listens; silence says nothing. SCTP needs the module, which is not loaded for this.
[[nodiscard]] std::map<DestinationKey, ProbeResult> probe(const std::vector<DestinationKey>& backends,
                                                          Protocol protocol, std::chrono::milliseconds deadline);

inline constexpr std::size_t probe_limit = 256;

}  // namespace ipvsd::ctl
