#include "ctl/node_facts.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "ipset/sets.hpp"
#include "netlink/ipvs.hpp"
#include "netlink/links.hpp"
#include "os/process.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::chrono::seconds save_deadline{20};

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

bool has_kube_chains(const std::vector<SavedTable>& tables) {
  return std::any_of(tables.begin(), tables.end(), [](const SavedTable& table) {
    return std::any_of(table.chains.begin(), table.chains.end(),
                       [](const std::string& chain) { return chain.starts_with("KUBE-"); });
  });
}

std::size_t rule_count(const std::vector<SavedTable>& tables) {
  std::size_t count = 0;
  for (const auto& table : tables) count += table.rules.size();
  return count;
}

// Asking a backend that has no tables could load its module.
bool has_tables(Family family, std::string_view backend) {
  if (backend == "nft") return ::access("/sys/module/nf_tables", F_OK) == 0;
  std::ifstream names(family == Family::ipv4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names");
  std::string first;
  return static_cast<bool>(names >> first);
}

Result<std::vector<SavedTable>> saved_tables(Family family, std::string_view backend) {
  const auto program = fmt::format("{}-{}-save", family == Family::ipv4 ? "iptables" : "ip6tables", backend);
  const auto saved = run_process({program}, "", save_deadline);
  if (!saved && saved.error().code == Errc::not_found)
    return fail(Errc::not_found, program + " is not installed: apt install iptables");
  if (!saved) return fail(saved.error());
  if (saved->exit_status != 0)
    return fail(Errc::unsupported, fmt::format("{} ended with status {}: {}", program, saved->exit_status,
                                               saved->err.substr(0, saved->err.find('\n'))));
  return parse_save(saved->out);
}

NodeRules read_rules(Family family) {
  NodeRules rules;
  for (const std::string_view backend : {"legacy", "nft"}) {
    if (has_kube_chains(rules.tables) || !has_tables(family, backend)) continue;
    auto tables = saved_tables(family, backend);
    if (!tables) {
      rules.error = tables.error().context;
    } else if (has_kube_chains(*tables) || rule_count(*tables) > rule_count(rules.tables)) {
      rules.tables = std::move(*tables);
      rules.error.clear();
    }
  }
  return rules;
}

}  // namespace

KernelState NodeFacts::kernel_state() const {
  KernelState state;
  state.servers = servers;
  state.entries = entries;
  for (const auto& [name, address, prefix] : addresses)
    if (name == ipvs_link_name && !(address.family() == Family::ipv6 && address.is_link_local()))
      state.bound.push_back(address);
  return state;
}

bool NodeFacts::has_entry(const SetEntry& entry) const {
  return std::binary_search(entries.begin(), entries.end(), entry);
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
  facts.link = ::if_nametoindex(std::string(ipvs_link_name).c_str()) != 0;
  for (const auto family : families) facts.rules[static_cast<std::size_t>(family)] = read_rules(family);
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
