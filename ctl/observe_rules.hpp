// The node's iptables rules and settings, as far as Services are concerned; read without changing anything.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/observation.hpp"

namespace ipvsd::ctl {

// Of both families, from whichever backend has chains KUBE-*. A backend that the kernel has not loaded is not asked,
// since asking would load it. What cannot be read says so in its place.
[[nodiscard]] std::vector<ObservedRules> observe_rules();
// The KUBE-* part of what iptables-save printed. Pure. Error: malformed.
[[nodiscard]] Result<std::vector<ObservedRules::Chain>> kube_chains(std::string_view save_output);

// All of net.ipv4.vs.*, and what else a Service's packets depend on; those that exist. `root`: instead of /proc/sys.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> observe_sysctls(const std::string& root = "/proc/sys");
// The few that decide whether Services work.
[[nodiscard]] bool is_essential_sysctl(std::string_view name);

}  // namespace ipvsd::ctl
