#include "ctl/diff.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/wanted.hpp"
#include "daemon/loop/rules_keeper.hpp"
#include "reconcile/ledger.hpp"
#include "reconcile/ownership.hpp"

namespace ipvsd::ctl {
namespace {

using Sign = Difference::Sign;

constexpr std::size_t services_named = 3;

std::string words(const VirtualServer& server) {
  std::string text = fmt::format("{} scheduler {}", server.key.to_string(), server.scheduler);
  if ((server.flags & flag_persistent) != 0) text += fmt::format(" persistent {} s", server.timeout);
  if (const auto other = server.flags & ~(flag_persistent | flag_hashed); other != 0)
    text += fmt::format(" flags {:#x}", other);
  if (server.client_prefix != server.key.address.max_prefix())
    text += fmt::format(" clients /{}", server.client_prefix);
  return text;
}

std::string words(const DestinationOf& of, bool weighted) {
  auto text = fmt::format("{} of {}", of.destination.key.to_string(), of.server.to_string());
  return weighted ? text + fmt::format(" weight {}", of.destination.weight) : text;
}

// What differs from the operation that would repair it.
Difference difference_of(const Operation& operation, const NodeFacts& facts) {
  const auto sign = operation.verb == Verb::add      ? Sign::missing
                    : operation.verb == Verb::remove ? Sign::unwanted
                                                     : Sign::differs;
  if (const auto* server = std::get_if<VirtualServer>(&operation.target)) {
    if (sign == Sign::unwanted) return {sign, "virtual server", server->key.to_string(), {}};
    const auto* found = facts.server(server->key);
    if (sign == Sign::missing || found == nullptr) return {sign, "virtual server", words(*server), {}};
    return {sign, "virtual server", fmt::format("{}, wanted {}", words(found->server), words(*server)), {}};
  }
  if (const auto* of = std::get_if<DestinationOf>(&operation.target)) {
    // Weight 0 is how one leaves; nobody wants it.
    const bool leaving = sign == Sign::differs && of->destination.weight == 0;
    if (leaving || sign == Sign::unwanted) return {Sign::unwanted, "destination", words(*of, false), {}};
    if (sign == Sign::missing) return {sign, "destination", words(*of, true), {}};
    std::string found = "not as wanted";
    if (const auto* server = facts.server(of->server))
      for (const auto& observed : server->destinations)
        if (observed.destination.key == of->destination.key)
          found = fmt::format("weight {}", observed.destination.weight);
    return {sign,
            "destination",
            fmt::format("{} {}, wanted weight {}", words(*of, false), found, of->destination.weight),
            {}};
  }
  if (const auto* bound = std::get_if<BoundAddress>(&operation.target))
    return {sign, "address", fmt::format("{} on {}", bound->address.to_string(), ipvs_link_name), {}};
  if (const auto* route = std::get_if<LocalRoute>(&operation.target)) {
    auto text = fmt::format("{} on {}", route->destination.to_string(), ipvs_link_name);
    if (route->source) text += " src " + route->source->to_string();
    return {sign, "local route", std::move(text), {}};
  }
  const auto& entry = std::get<SetEntry>(operation.target);
  return {sign, "set entry", fmt::format("{} {}", entry.set.name(), entry.element()), {}};
}

void add_kernel_differences(const Cluster& cluster, const NodeFacts& facts, std::vector<Difference>& into) {
  const auto state = facts.kernel_state();
  Ledger ledger(cluster.policy.exclude_cidrs, cluster.policy.serves);
  ledger.observed(state, owned(state, facts.addresses));
  Wanted wanted(cluster, facts, Wanted::By::ours);
  ledger.want_routes(desired_routes(cluster.policy_with(facts.routes), wanted.view()));
  for (const auto& key : cluster.state.service_keys())
    if (const auto* service = cluster.state.service(key)) ledger.contribute(*service, wanted.of(*service));
  ledger.start_pruning();
  if (!facts.no_ipvs.empty()) into.push_back({Sign::missing, "module", "ip_vs: " + facts.no_ipvs, {}});
  if (!facts.link) into.push_back({Sign::missing, "link", std::string(ipvs_link_name), {}});
  for (const auto set : all_ip_sets())
    if (std::find(facts.sets.begin(), facts.sets.end(), set) == facts.sets.end())
      into.push_back({Sign::missing, "set", std::string(set.name()), {}});
  for (const auto& operation : ledger.plan().flat()) {
    auto difference = difference_of(operation, facts);
    for (const auto& service : ledger.claimants(object_of(operation), services_named))
      difference.services.push_back(service.to_string());
    into.push_back(std::move(difference));
  }
}

std::vector<Cidr> routed(const NodeFacts& facts) {
  std::vector<Cidr> cidrs;
  for (const auto& route : facts.routes) cidrs.push_back(route.destination);
  return cidrs;
}

// The rules of one chain, in order; empty also if it does not exist.
std::vector<std::string> rules_of(const std::vector<SavedTable>& tables, std::string_view table,
                                  std::string_view chain) {
  std::vector<std::string> rules;
  for (const auto& saved : tables)
    if (saved.name == table)
      for (const auto& rule : saved.rules)
        if (rule.chain == chain) rules.push_back(rule.rule);
  return rules;
}

bool contains(const std::vector<std::string>& rules, const std::string& rule) {
  return std::find(rules.begin(), rules.end(), rule) != rules.end();
}

}  // namespace

std::string_view to_string(Sign sign) {
  switch (sign) {
    case Sign::missing: break;
    case Sign::unwanted: return "unwanted";
    case Sign::differs: return "differs";
  }
  return "missing";
}

std::string to_string(const Difference& difference) {
  auto text = fmt::format("{:<8} {} {}", to_string(difference.sign), difference.kind, difference.text);
  if (!difference.services.empty()) text += fmt::format(" ({})", fmt::join(difference.services, ", "));
  return text;
}

std::vector<Difference> rule_differences(const Rules& wanted, const std::vector<SavedTable>& found, Family family) {
  std::vector<Difference> all;
  const auto add = [&](Sign sign, std::string_view table, std::string_view chain, std::string_view rule) {
    all.push_back({sign, "rule", fmt::format("{} {}/{} {}", to_string(family), table, chain, rule), {}});
  };
  for (const auto& chain : wanted.chains) {
    const auto present = rules_of(found, to_string(chain.table), chain.name);
    const auto before = all.size();
    for (const auto& rule : chain.rules)
      if (!contains(present, rule)) add(Sign::missing, to_string(chain.table), chain.name, rule);
    for (const auto& rule : present)
      if (!contains(chain.rules, rule)) add(Sign::unwanted, to_string(chain.table), chain.name, rule);
    if (all.size() == before && present != chain.rules)
      add(Sign::differs, to_string(chain.table), chain.name, "in the order or number of its rules");
  }
  for (const auto& jump : wanted.jumps)
    if (!contains(rules_of(found, to_string(jump.table), jump.from), jump.rule()))
      add(Sign::missing, to_string(jump.table), jump.from, jump.rule());
  return all;
}

std::vector<Difference> sysctl_differences(const std::vector<Sysctl>& wanted, const NodeFacts& facts) {
  std::vector<Difference> all;
  for (const auto& sysctl : wanted) {
    auto name = sysctl.path;
    std::replace(name.begin(), name.end(), '/', '.');
    const auto found = facts.sysctls.find(sysctl.path);
    if (found == facts.sysctls.end())
      all.push_back({Sign::missing, "sysctl", fmt::format("{}, wanted {}", name, sysctl.value), {}});
    else if (sysctl.at_least ? found->second < sysctl.value : found->second != sysctl.value)
      all.push_back(
          {Sign::differs,
           "sysctl",
           fmt::format("{} {}, wanted {}{}", name, found->second, sysctl.at_least ? "at least " : "", sysctl.value),
           {}});
  }
  return all;
}

std::vector<Difference> differences(const Cluster& cluster, const NodeFacts& facts, KernelVersion kernel,
                                    unsigned cpus) {
  std::vector<Difference> all;
  add_kernel_differences(cluster, facts, all);
  for (const auto family : families) {
    if (!cluster.policy.serves[static_cast<std::size_t>(family)]) continue;
    const auto wanted = rules(family, rules_config(cluster.config, cluster.state.node(), family, routed(facts)));
    auto found = rule_differences(wanted, facts.rules[static_cast<std::size_t>(family)].tables, family);
    all.insert(all.end(), found.begin(), found.end());
  }
  const auto settings = sysctl_differences(wanted_sysctls(cluster.config, kernel, cpus), facts);
  all.insert(all.end(), settings.begin(), settings.end());
  return all;
}

}  // namespace ipvsd::ctl
