#include "daemon/check/preflight.hpp"

#include <cstdio>

#include "daemon/check/judge.hpp"
#include "daemon/check/observe_cluster.hpp"
#include "daemon/check/observe_node.hpp"
#include "daemon/source/service_cidrs.hpp"
#include "daemon/version.hpp"

namespace ipvsd::check {
namespace {

constexpr std::chrono::seconds deadline{20};

ClusterFacts observe_cluster(const Flags& flags, const Result<std::string>& node_name,
                             const Result<ApiAccess>& access) {
  if (!flags.manifests.empty()) return observe_manifests(flags.manifests, deadline);
  ClusterFacts nothing;
  if (!access)
    nothing.error = access.error().message();
  else if (!node_name)
    nothing.error = node_name.error().message();
  else
    return observe_api(*access, *node_name, deadline);
  return nothing;
}

void add_service_cidrs(const Flags& flags, const Result<ApiAccess>& access, ClusterFacts& cluster) {
  cluster.service_cidrs = flags.config.own.service_cidrs;
  if (flags.config.own.service_addresses != ServiceAddresses::route || !cluster.service_cidrs.empty()) return;
  if (!flags.manifests.empty() || !access) {
    cluster.service_cidrs_error = "ipvsd.serviceAddresses is route, and there is no API server to ask for its CIDRs";
    return;
  }
  auto found = read_service_cidrs(*access);
  if (found && !found->empty())
    cluster.service_cidrs = std::move(*found);
  else
    cluster.service_cidrs_error = found ? "the API server has no ServiceCIDR objects" : found.error().message();
}

}  // namespace

int preflight(const Flags& flags, const Result<std::string>& node_name, const Result<ApiAccess>& access) {
  const auto node = observe_node(flags.config);
  auto cluster = observe_cluster(flags, node_name, access);
  add_service_cidrs(flags, access, cluster);
  Findings findings = judge_config({flags.config_file, flags.config, flags.warnings, flags.config_errors});
  const auto add = [&](const Findings& more) { findings.insert(findings.end(), more.begin(), more.end()); };
  if (!node_name)
    add({{Severity::problem, "node", node_name.error().message(), "set hostnameOverride (--hostname-override)"}});
  add(judge_node(node, flags.config));
  add(judge_proxies(node));
  add(judge_cluster(cluster, node, flags.config, node_name.value_or("")));
  add(judge_service_cidrs(cluster, node, flags.config));
  const auto text = flags.output == OutputFormat::json ? json(findings, version) : table(findings);
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written && worst(findings) < Severity::problem ? 0 : 1;
}

}  // namespace ipvsd::check
