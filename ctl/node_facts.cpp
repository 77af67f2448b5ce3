#include "ctl/node_facts.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "ctl/observe_rules.hpp"
#include "ipset/sets.hpp"
#include "netlink/ipvs.hpp"
#include "netlink/links.hpp"
#include "netlink/routes.hpp"

namespace ipvsd::ctl {
namespace {

Result<void> read_ipvs(NodeFacts& facts, const std::function<bool(const VirtualServerKey&)>& with_destinations) {
  // Asking generic netlink for the family would load the module where it is missing.
  if (::access("/proc/net/ip_vs", F_OK) != 0) {
    facts.no_ipvs = "this kernel has no IPVS, or it is not loaded: try modprobe ip_vs";
    return {};
  }
  auto ipvs = nl::Ipvs::open();
  if (!ipvs) return fail(ipvs.error());
  const auto dumped = ipvs->dump_virtual_servers([&](const nl::VirtualServerRecord& record) {
    facts.servers.push_back({record.server, {}});
  });
  if (!dumped && dumped.error().code == Errc::denied)
    return fail(Errc::denied, "reading IPVS needs root or CAP_NET_ADMIN: try sudo");
  if (!dumped) return fail(dumped.error().within("list virtual servers"));
  for (auto& found : facts.servers) {
    if (!with_destinations(found.server.key)) continue;
    const auto destinations = ipvs->dump_destinations(
        found.server.key, [&](const nl::DestinationRecord& record) { found.destinations.push_back(record.observed); });
    if (!destinations) return fail(destinations.error().within("list destinations"));
  }
  return {};
}

Result<void> read_sets(NodeFacts& facts) {
  if (::access("/sys/module/ip_set", F_OK) != 0) return {};
  auto sets = IpSets::open();
  if (!sets) return fail(sets.error());
  for (const auto set : all_ip_sets()) {
    auto entries = sets->list(set);
    if (!entries && entries.error().code == Errc::not_found) continue;
    if (!entries) return fail(entries.error());
    facts.sets.push_back(set);
    facts.entries.insert(facts.entries.end(), entries->begin(), entries->end());
  }
  std::sort(facts.entries.begin(), facts.entries.end());
  return {};
}

NodeRules node_rules(const ObservedRules& observed) {
  NodeRules rules;
  rules.error = observed.error;
  for (const auto& chain : observed.chains) {
    auto table = std::find_if(rules.tables.begin(), rules.tables.end(),
                              [&](const SavedTable& known) { return known.name == chain.table; });
    if (table == rules.tables.end()) table = rules.tables.insert(table, {chain.table, {}, {}});
    table->chains.push_back(chain.name);
    for (const auto& rule : chain.rules) table->rules.push_back({chain.name, rule});
  }
  return rules;
}

}  // namespace

KernelState NodeFacts::kernel_state() const {
  KernelState state;
  state.servers = servers;
  state.entries = entries;
  state.routes = routes;
  for (const auto& [name, address, prefix] : addresses)
    if (name == ipvs_link_name && !address.is_loopback() &&
        !(address.family() == Family::ipv6 && address.is_link_local()))
      state.bound.push_back(address);
  return state;
}

bool NodeFacts::has_entry(const SetEntry& entry) const {
  return std::binary_search(entries.begin(), entries.end(), entry);
}

const LocalRoute* NodeFacts::route_to(const IpAddress& address) const {
  const auto found = std::find_if(routes.begin(), routes.end(),
                                  [&](const auto& route) { return route.destination.contains(address); });
  return found == routes.end() ? nullptr : &*found;
}

const ObservedVirtualServer* NodeFacts::server(const VirtualServerKey& key) const {
  const auto found =
      std::find_if(servers.begin(), servers.end(), [&](const auto& server) { return server.server.key == key; });
  return found == servers.end() ? nullptr : &*found;
}

Result<NodeFacts> observe_node(const std::function<bool(const VirtualServerKey&)>& with_destinations,
                               const std::vector<std::string>& sysctls) {
  NodeFacts facts;
  if (const auto read = read_ipvs(facts, with_destinations); !read) return fail(read.error());
  if (const auto read = read_sets(facts); !read) return fail(read.error());
  auto links = nl::Links::open();
  if (!links) return fail(links.error());
  auto addresses = links->addresses();
  if (!addresses) return fail(addresses.error());
  facts.addresses = std::move(*addresses);
  facts.link = links->has(ipvs_link_name);
  auto routes = nl::Routes::open();
  if (!routes) return fail(routes.error());
  auto local = routes->list(ipvs_link_name);
  if (!local) return fail(local.error());
  facts.routes = std::move(*local);
  for (const auto& rules : observe_rules()) facts.rules[static_cast<std::size_t>(rules.family)] = node_rules(rules);
  for (const auto& path : sysctls) {
    std::ifstream file("/proc/sys/" + path);
    std::uint64_t value = 0;
    if (file >> value) facts.sysctls[path] = value;
  }
  return facts;
}

bool kernel_has_scheduler(std::string_view name) {
  const auto module = fmt::format("ip_vs_{}", name);
  if (::access(("/sys/module/" + module).c_str(), F_OK) == 0) return true;
  utsname kernel{};
  ::uname(&kernel);
  for (const auto* list : {"modules.dep", "modules.builtin"}) {
    std::ifstream file(fmt::format("/lib/modules/{}/{}", kernel.release, list));
    for (std::string line; std::getline(file, line);)
      if (line.substr(0, line.find(':')).find("/" + module + ".ko") != std::string::npos) return true;
  }
  return false;
}

}  // namespace ipvsd::ctl
