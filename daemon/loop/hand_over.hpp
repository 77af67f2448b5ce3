// --hand-over: removes what kube-proxy neither takes over nor knows, and nothing else. What it takes over goes on
// balancing until it does.
#pragma once

#include <cstdint>
#include <functional>

#include "ipset/iptables.hpp"
#include "model/kernel.hpp"

namespace ipvsd {

// Virtual servers by mark that were removed, and those that stay: the kernel ends connections with their virtual
// server. Nobody new comes to them.
struct HandedOver {
  std::size_t removed = 0;
  std::size_t left = 0;
  std::uint64_t connections = 0;  // of those that are left
};

// First the rules in table mangle, after which nobody gets a mark; then the virtual servers by mark without
// connections; then our own sets, those of the marks that are still in use excepted. Idempotent. Returns the first
// error, beyond which nothing is touched that relies on it.
[[nodiscard]] Result<HandedOver> hand_over(Kernel& kernel, Iptables& iptables,
                                           const std::function<Result<void>(IpSet)>& destroy);

}  // namespace ipvsd
