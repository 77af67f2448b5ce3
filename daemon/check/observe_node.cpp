#include "daemon/check/observe_node.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <thread>

#include "daemon/check/module_list.hpp"
#include "daemon/kernel/linux_kernel.hpp"
#include "daemon/serve/other_proxy.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

namespace ipvsd::check {
namespace {

// modules.dep of a distribution's kernel has about 1 MB.
constexpr std::size_t list_limit = 16U << 20;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<std::uint64_t> sysctl_value(const std::string& path) {
  std::ifstream file("/proc/sys/" + path);
  std::uint64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

void observe_rights(NodeFacts& node) {
  node.root = ::geteuid() == 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view key = "CapEff:\t";
    if (!line.starts_with(key)) continue;
    std::uint64_t set = 0;
    std::from_chars(line.data() + key.size(), line.data() + line.size(), set, 16);
    node.net_admin = (set >> CAP_NET_ADMIN & 1) != 0;
    node.net_raw = (set >> CAP_NET_RAW & 1) != 0;
  }
}

ModuleState state_of(const std::string& name, const ModuleList& built_in, const ModuleList& loadable) {
  if (::access(("/sys/module/" + name).c_str(), F_OK) == 0) return ModuleState::loaded;
  if (built_in.names.contains(name)) return ModuleState::built_in;
  if (loadable.names.contains(name)) return ModuleState::loadable;
  return built_in.known || loadable.known ? ModuleState::missing : ModuleState::unknown;
}

void observe_modules(const Config& config, NodeFacts& node) {
  ModuleList built_in;
  ModuleList loadable;
  const auto folder = "/lib/modules/" + node.kernel_release;
  if (const auto text = read_small_file(folder + "/modules.builtin", list_limit)) add_modules(*text, built_in);
  if (const auto text = read_small_file(folder + "/modules.dep", list_limit)) add_modules(*text, loadable);
  const auto look = [&](const std::string& name) {
    const bool seen =
        std::any_of(node.modules.begin(), node.modules.end(), [&](const Module& m) { return m.name == name; });
    if (!seen) node.modules.push_back({name, state_of(name, built_in, loadable)});
  };
  for (const auto name : needed_modules())
    if (name != "ip_vs_rr") look(std::string(name));
  look("ip_vs_" + (config.ipvs.scheduler.empty() ? std::string("rr") : config.ipvs.scheduler));
  for (const auto* list : {&built_in, &loadable})
    for (const auto& name : list->names)
      // ip_vs_ftp and the persistence engines are no schedulers.
      if (name.starts_with("ip_vs_") && name != "ip_vs_ftp" && !name.starts_with("ip_vs_pe_"))
        node.schedulers.push_back(name.substr(6));
}

void observe_sysctls(const Config& config, NodeFacts& node) {
  for (const auto& wanted :
       wanted_sysctls(config, parse_kernel_version(node.kernel_release), std::thread::hardware_concurrency()))
    node.sysctls.push_back(
        {wanted, sysctl_value(wanted.path), ::access(("/proc/sys/" + wanted.path).c_str(), W_OK) == 0});
  node.bridge_calls_iptables = sysctl_value("net/bridge/bridge-nf-call-iptables");
  node.ipv6_forwarding = sysctl_value("net/ipv6/conf/all/forwarding");
  node.arp_ignore = sysctl_value("net/ipv4/conf/all/arp_ignore");
  node.connections = sysctl_value("net/netfilter/nf_conntrack_count");
  node.connections_max = sysctl_value("net/netfilter/nf_conntrack_max");
}

void observe_iptables(NodeFacts& node) {
  for (const auto family : families)
    for (const auto kind : {IptablesBackend::nft, IptablesBackend::legacy}) {
      Backend backend;
      backend.family = family;
      backend.backend = kind;
      const auto program = fmt::format("{}-{}", family == Family::ipv4 ? "iptables" : "ip6tables", to_string(kind));
      const auto asked = run_process({program, "--version"}, "", std::chrono::seconds(10));
      backend.installed = asked && asked->exit_status == 0;
      if (backend.installed) {
        const auto tables = saved_tables(kind, family);
        if (tables)
          backend.evidence = evidence_in(*tables);
        else
          backend.error = tables.error().message();
        for (const auto& table : tables.value_or(std::vector<SavedTable>{}))
          for (const auto& chain : table.chains)
            backend.service_chains = backend.service_chains || chain.starts_with("KUBE-SVC-");
      }
      node.backends.push_back(std::move(backend));
    }
  // Not there is fine where it can be made.
  const bool exists = ::access("/run/xtables.lock", F_OK) == 0;
  node.xtables_lock_writable = ::access(exists ? "/run/xtables.lock" : "/run", W_OK) == 0;
}

// A second kube-ipvsd has its claim bound; /proc/net/unix belongs to the network namespace, as the claim does.
bool claim_is_held() {
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);)
    if (line.ends_with(" @kube-ipvsd")) return true;
  return false;
}

}  // namespace

NodeFacts observe_node(const Config& config) {
  NodeFacts node;
  node.kernel_release = first_line("/proc/sys/kernel/osrelease");
  observe_rights(node);
  // First: the sysctls of IPVS come with its module.
  if (const auto ipvs = nl::Ipvs::open(); !ipvs) node.ipvs_error = ipvs.error().message();
  observe_modules(config, node);
  observe_sysctls(config, node);
  observe_iptables(node);
  node.answering_proxy = another_proxy(config);
  node.proxies = proxy_processes().value_or(std::vector<ProxyProcess>{});
  node.another_kube_ipvsd = claim_is_held();
  auto links = nl::Links::open();
  auto addresses = links ? links->addresses() : fail(links.error());
  if (addresses)
    node.addresses = std::move(*addresses);
  else
    node.addresses_error = addresses.error().message();
  return node;
}

}  // namespace ipvsd::check
