// How a destination leaves. Its connections end when they end; only then it is removed.
#pragma once

#include <chrono>
#include <optional>

#include "model/kernel.hpp"

namespace ipvsd {

// Whether a destination that is no longer wanted is first kept at weight 0. UDP has no connections to wait for: its
// flows move at once, helped by expire_nodest_conn.
[[nodiscard]] constexpr bool drains(Protocol protocol) { return protocol != Protocol::udp; }

// Whether a destination at weight 0 can be removed. Inactive connections count: a client may still send (FIN_WAIT).
// Persistence templates do not: weight 0 and expire_quiescent_template make them ineligible.
[[nodiscard]] constexpr bool drained(const ObservedDestination& destination) {
  return destination.active_connections == 0 && destination.inactive_connections == 0;
}

// Whether a destination that has waited at weight 0 for this long is removed although it has connections, which that
// breaks. No limit: never.
[[nodiscard]] constexpr bool overdue(std::chrono::steady_clock::duration waited,
                                     std::optional<std::chrono::seconds> limit) {
  return limit && waited >= *limit;
}

}  // namespace ipvsd
