// From what was found to what it means for kube-ipvsd. Pure.
#pragma once

#include "daemon/check/facts.hpp"
#include "daemon/check/finding.hpp"
#include "daemon/config/config.hpp"

namespace ipvsd::check {

// A configuration as it was given: what came of it, and what was said about it.
struct GivenConfig {
  std::string file;  // "" if it came from flags alone
  Config config;
  std::vector<std::string> warnings;  // a line each: options that have no effect here
  std::vector<std::string> errors;    // a line each: kube-ipvsd does not start with these
};

// What is in the file and will be otherwise than under kube-proxy, by the option table.
[[nodiscard]] Findings judge_config(const GivenConfig& given);

// Rights, kernel, modules, settings, iptables.
[[nodiscard]] Findings judge_node(const NodeFacts& node, const Config& config);

// Who else writes Services on this node.
[[nodiscard]] Findings judge_proxies(const NodeFacts& node);

// The API server's answers; Services' addresses beside the node's own.
[[nodiscard]] Findings judge_cluster(const ClusterFacts& cluster, const NodeFacts& node, const Config& config,
                                     std::string_view node_name);

// The Service CIDRs of ipvsd.serviceAddresses: route; nothing without that.
[[nodiscard]] Findings judge_service_cidrs(const ClusterFacts& cluster, const NodeFacts& node, const Config& config);

}  // namespace ipvsd::check
