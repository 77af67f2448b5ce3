#include "ctl/observe_rules.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "ctl/output.hpp"
#include "ipset/audit.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::chrono::seconds save_deadline{20};

std::string_view program_prefix(Family family) { return family == Family::ipv4 ? "iptables" : "ip6tables"; }

// Whether the backend has tables already.
bool has_tables(Family family, std::string_view backend) {
  if (backend == "nft") return ::access("/sys/module/nf_tables", F_OK) == 0;
  const auto names =
      read_small_file(family == Family::ipv4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names", 4096);
  return names && !names->empty();
}

Result<std::vector<ObservedRules::Chain>> save(Family family, std::string_view backend) {
  const auto program = fmt::format("{}-{}-save", program_prefix(family), backend);
  const auto saved = run_process({program}, "", save_deadline);
  if (!saved && saved.error().code == Errc::not_found)
    return fail(Errc::not_found, program + " is not installed: install the package iptables");
  if (!saved) return fail(saved.error());
  if (saved->exit_status != 0)
    return fail(Errc::unsupported, fmt::format("{} ended with status {}: {}", program, saved->exit_status,
                                               printable(saved->err.substr(0, saved->err.find('\n')))));
  auto chains = kube_chains(saved->out);
  if (!chains) return fail(chains.error().within(program));
  return chains;
}

}  // namespace

Result<std::vector<ObservedRules::Chain>> kube_chains(std::string_view save_output) {
  const auto tables = parse_save(save_output);
  if (!tables) return fail(tables.error());
  std::vector<ObservedRules::Chain> chains;
  for (const auto& table : *tables) {
    const auto first = chains.size();
    for (const auto& name : table.chains)
      if (name.starts_with("KUBE-")) chains.push_back({table.name, name, {}});
    for (const auto& rule : table.rules) {
      auto chain = std::find_if(chains.begin() + static_cast<std::ptrdiff_t>(first), chains.end(),
                                [&](const auto& known) { return known.name == rule.chain; });
      if (chain == chains.end()) {
        if (rule.rule.find("-j KUBE-") == std::string::npos) continue;
        chain = chains.insert(chain, {table.name, rule.chain, {}});
      }
      chain->rules.push_back(rule.rule);
    }
  }
  return chains;
}

std::vector<ObservedRules> observe_rules() {
  std::vector<ObservedRules> all;
  for (const auto family : families) {
    ObservedRules rules;
    rules.family = family;
    for (const std::string_view backend : {"legacy", "nft"}) {
      if (!rules.chains.empty() || !has_tables(family, backend)) continue;
      auto chains = save(family, backend);
      if (!chains) {
        rules.error = chains.error().message();
      } else if (!chains->empty()) {
        rules.backend = backend;
        rules.chains = std::move(*chains);
        rules.error.clear();
      }
    }
    all.push_back(std::move(rules));
  }
  return all;
}

namespace {

constexpr std::array essential{
    "net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.arp_announce",      "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.route_localnet",    "net.ipv4.ip_forward",
    "net.ipv4.vs.conn_reuse_mode",         "net.ipv4.vs.conntrack",
    "net.ipv4.vs.expire_nodest_conn",      "net.ipv4.vs.expire_quiescent_template",
    "net.ipv6.conf.all.forwarding",        "net.netfilter.nf_conntrack_max",
};

}  // namespace

bool is_essential_sysctl(std::string_view name) {
  return std::find(essential.begin(), essential.end(), name) != essential.end();
}

std::vector<std::pair<std::string, std::string>> observe_sysctls(const std::string& root) {
  std::vector<std::string> names(essential.begin(), essential.end());
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root + "/net/ipv4/vs", error)) {
    auto name = "net.ipv4.vs." + entry.path().filename().string();
    if (!is_essential_sysctl(name)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  std::vector<std::pair<std::string, std::string>> sysctls;
  for (auto& name : names) {
    auto path = name;
    std::replace(path.begin(), path.end(), '.', '/');
    auto value = read_small_file(root + "/" + path, 4096);
    if (!value) continue;
    value->erase(value->find_last_not_of(" \n") + 1);
    std::replace(value->begin(), value->end(), '\t', ' ');
    sysctls.emplace_back(std::move(name), printable(*value));
  }
  return sysctls;
}

}  // namespace ipvsd::ctl
