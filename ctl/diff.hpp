// kube-ipvsctl diff: what the kernel has beside what the cluster's objects and the configuration ask for. The
// difference is the plan that the daemon would carry out, by the daemon's own code. Pure.
#pragma once

#include <string>
#include <vector>

#include "ctl/cluster.hpp"
#include "ctl/node_facts.hpp"
#include "daemon/kernel/sysctls.hpp"

namespace ipvsd::ctl {

struct Difference {
  enum class Sign : std::uint8_t { missing, unwanted, differs };
  Sign sign = Sign::missing;
  std::string kind;                   // "virtual server", "destination", "address", "set entry", "rule", "sysctl"
  std::string text;                   // the object, and for `differs` both sides
  std::vector<std::string> services;  // that want it, at most a few
  friend bool operator==(const Difference&, const Difference&) = default;
};
[[nodiscard]] std::string_view to_string(Difference::Sign sign);

// `kernel` and `cpus`: what wanted_sysctls() takes. A destination that drains is no difference.
[[nodiscard]] std::vector<Difference> differences(const Cluster& cluster, const NodeFacts& facts, KernelVersion kernel,
                                                  unsigned cpus);

// One line each.
[[nodiscard]] std::string to_string(const Difference& difference);

// The parts, for explain and tests.
[[nodiscard]] std::vector<Difference> rule_differences(const Rules& wanted, const std::vector<SavedTable>& found,
                                                       Family family);
[[nodiscard]] std::vector<Difference> sysctl_differences(const std::vector<Sysctl>& wanted, const NodeFacts& facts);

}  // namespace ipvsd::ctl
