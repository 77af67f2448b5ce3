#include "daemon/loop/node_policy.hpp"

#include <unistd.h>

#include <array>

#include "daemon/config/config_file.hpp"

namespace ipvsd {

std::string hostname() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

Result<Policy> make_policy(const Config& config, std::string_view hostname) {
  Policy policy;
  auto scheduler = choose_scheduler(config.ipvs.scheduler);
  if (!scheduler) return fail(scheduler.error());
  policy.scheduler = std::move(*scheduler);
  auto name = node_name(config, hostname);
  if (!name) return fail(name.error());
  policy.node_name = std::move(*name);
  policy.exclude_cidrs = config.ipvs.exclude_cidrs;
  policy.node_port_cidrs = config.node_port_addresses;
  policy.node_port_primary = config.node_port_addresses_primary;
  return policy;
}

}  // namespace ipvsd
