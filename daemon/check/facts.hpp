// What --check found on a node and in its cluster. Plain data: observe_*.cpp fill it, judge_*.cpp say what it means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/kernel/sysctls.hpp"
#include "daemon/serve/other_proxy.hpp"
#include "ipset/iptables.hpp"
#include "model/kernel.hpp"
#include "model/objects.hpp"

namespace ipvsd::check {

// unknown: not loaded, and there is no list of this kernel's modules to look into (a container without /lib/modules).
enum class ModuleState : std::uint8_t { loaded, built_in, loadable, missing, unknown };

struct Module {
  std::string name;  // with underscores, as /sys/module spells it
  ModuleState state = ModuleState::unknown;
};

struct SysctlValue {
  Sysctl wanted;
  std::optional<std::uint64_t> value;  // empty: there is no such setting, or it cannot be read
  bool writable = false;
};

// One iptables backend of one family, as reading alone shows it.
struct Backend {
  Family family = Family::ipv4;
  IptablesBackend backend = IptablesBackend::nft;
  bool installed = false;
  std::string error;  // "" if its rules could be read
  RuleEvidence evidence = RuleEvidence::none;
  bool service_chains = false;  // KUBE-SVC-*: Services as kube-proxy's iptables mode serves them
};

struct NodeFacts {
  bool root = false;
  bool net_admin = false;  // CAP_NET_ADMIN is in effect
  bool net_raw = false;
  std::string kernel_release;
  std::string ipvs_error;               // "" if the kernel answered on its IPVS interface
  std::vector<Module> modules;          // those that are needed, the scheduler's included
  std::vector<std::string> schedulers;  // that this kernel has, loaded or not; empty if it cannot be known
  std::vector<SysctlValue> sysctls;     // those that the configuration wants
  std::optional<std::uint64_t> bridge_calls_iptables;
  std::optional<std::uint64_t> ipv6_forwarding;
  std::optional<std::uint64_t> arp_ignore;
  std::optional<std::uint64_t> connections;  // that this network namespace tracks
  std::optional<std::uint64_t> connections_max;
  std::vector<Backend> backends;
  bool xtables_lock_writable = false;
  std::optional<std::string> answering_proxy;  // who answers where a kube-proxy would
  bool another_kube_ipvsd = false;
  std::vector<ProxyProcess> proxies;   // processes in this network namespace that write Services or IPVS as well
  std::vector<LinkAddress> addresses;  // kube-ipvs0's included
  std::string addresses_error;
};

// One request that the daemon will make, tried.
struct Access {
  std::string verb;
  std::string resource;
  int status = 0;     // 0: no answer; 200 if it may
  std::string error;  // what the server, or the connection, said; "" after 200
};

struct ClusterFacts {
  std::string source;  // "https://10.0.0.1:6443" or a directory; "" if there was nothing to ask
  std::string error;   // why there was nothing to ask
  std::string host;    // of the API server
  std::vector<Access> accesses;
  bool services_known = false;  // a complete list of them was read
  bool node_known = false;
  bool node_found = false;
  std::vector<Service> services;
  std::vector<Cidr> pod_cidrs;  // of this node, where there is an API server
  // For ipvsd.serviceAddresses: route. As configured or, where nothing is, the cluster's.
  std::vector<Cidr> service_cidrs;
  std::string service_cidrs_error;    // why there are none to look at
  std::vector<std::string> warnings;  // of objects that could not be read, in whole or in part
};

}  // namespace ipvsd::check
