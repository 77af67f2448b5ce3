#include "daemon/loop/node_policy.hpp"

#include <unistd.h>

#include <array>

#include "daemon/config/config_file.hpp"
#include "daemon/config/service_cidrs.hpp"
#include "daemon/loop/rules_keeper.hpp"

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
  policy.by_pod_cidrs = config.detect_local_mode == DetectLocalMode::node_cidr;
  for (const auto family : families)
    policy.knows_outside[static_cast<std::size_t>(family)] =
        rules_config(config, nullptr, family).local_match.has_value();
  policy.routed_cidrs = routed_cidrs(config);
  policy.outside_mask = config.own.external_mark_mask;
  if (config.own.drain_timeout.count() > 0) policy.drain_timeout = config.own.drain_timeout;
  return policy;
}

}  // namespace ipvsd
