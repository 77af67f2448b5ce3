// The events of a rollout: each Service replaces all of its endpoints, one at a time.
#pragma once

#include <string>
#include <vector>

#include "bench/objects.hpp"

namespace ipvsd::bench {

inline constexpr std::size_t rollout_steps = 10;  // of each Service

struct RolloutFrame {
  std::size_t index;  // of the Service
  std::string text;
};

// By round: in each, every Service replaces one endpoint, in an order that is not that of the lists. The endpoints of
// each are those from `first` on before, and those from `first` + rollout_steps on after.
[[nodiscard]] std::vector<std::vector<RolloutFrame>> rollout_frames(const Cluster& cluster, std::size_t first);

}  // namespace ipvsd::bench
