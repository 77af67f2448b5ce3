// What the rules do with the packet, beside what they should.
#include "ctl/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/wanted.hpp"
#include "daemon/loop/rules_keeper.hpp"

namespace ipvsd::ctl {
namespace {

using Verdict = Walk::Verdict;

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::passed: break;
    case Verdict::dropped: return "dropped";
    case Verdict::rejected: return "rejected";
  }
  return "passes";
}

// Whether the entry is about this frontend, rather than about an endpoint or another port.
bool is_about(const SetEntry& entry, const VirtualServerKey& target, FrontendKind kind) {
  if (entry.set.kind == SetKind::loop_back || entry.set.family != target.family()) return false;
  if (entry.set.type() == SetType::hash_ip) return entry.address == target.address;
  if (entry.set.type() == SetType::bitmap_port)
    return kind == FrontendKind::node_port && entry.port == target.port &&
           entry.set.kind != SetKind::health_check_node_port;
  return entry.address == target.address && entry.port == target.port && entry.protocol == target.protocol;
}

}  // namespace

std::vector<Cidr> Diagnosis::routed_here() const {
  std::vector<Cidr> cidrs;
  for (const auto& route : facts_.routes) cidrs.push_back(route.destination);
  return cidrs;
}

Walk Diagnosis::rules() {
  const auto& found = facts_.rules[static_cast<std::size_t>(target_.family())];
  const auto backend = some_backend();
  const Walk walk = walk_rules(packet_, {found.tables, facts_.entries, facts_.addresses, facts_.routes}, backend);
  for (const auto& matched : walk.matched) step("rules", short_form(matched));
  if (!found.error.empty()) {
    fault("rules-unreadable", found.error, "install iptables, or run this as root");
    return walk;
  }
  step("rules", walk.verdict == Verdict::passed
                    ? std::string("the packet passes to IPVS")
                    : fmt::format("the packet is {} in {}", to_string(walk.verdict), walk.matched.back().chain));
  compare_rules(walk, backend);
  if (walk.verdict != Verdict::passed) return walk;
  step("masquerade",
       walk.masqueraded ? "yes: the backend sees this node's address" : "no: the backend sees the client's address");
  return walk;
}

void Diagnosis::compare_rules(const Walk& walk, const std::optional<DestinationKey>& backend) {
  std::vector<SetEntry> wanted_entries = owner_ ? contribution_.entries : facts_.entries;
  std::vector<std::string> missing;
  if (owner_)
    for (const auto& entry : wanted_entries)
      if (is_about(entry, target_, owner_->kind) && !facts_.has_entry(entry))
        missing.push_back(fmt::format("{} {}", entry.set.name(), entry.element()));
  const auto repair = "the daemon puts it right at its next audit; if not, see kube-ipvsctl status";
  if (!missing.empty()) {
    fault("set-entry-missing", fmt::format("the sets that the rules match on lack {}", listed(missing)), repair);
    return;
  }
  auto config = cluster_ != nullptr
                    ? rules_config(cluster_->config, cluster_->state.node(), target_.family(), routed_here())
                    : RulesConfig();
  if (!has_marks(facts_, target_.family())) config.outside_mask = 0;
  std::sort(wanted_entries.begin(), wanted_entries.end());
  const auto tables = saved_form(ipvsd::rules(target_.family(), config));
  const Walk wanted = walk_rules(packet_, {tables, wanted_entries, facts_.addresses, facts_.routes}, backend);
  if (wanted.verdict != Verdict::passed && walk.verdict != Verdict::passed) return stopped(walk);
  const bool masquerade_lost = wanted.masqueraded && !walk.masqueraded && walk.verdict == Verdict::passed;
  const bool mark_lost =
      owner_ && wanted.verdict == walk.verdict && wanted.mark != walk.mark && !masquerade_lost &&
      facts_.server({IpAddress::any(target_.family()), Protocol::none, Port{}, wanted.mark}) != nullptr;
  if (wanted.verdict == walk.verdict && !masquerade_lost && !mark_lost) return;
  const auto lacking = lacking_rules(wanted);
  const auto effect = walk.verdict != Verdict::passed     ? "the packet does not reach IPVS"
                      : wanted.verdict != Verdict::passed ? "clients that should be kept out are let in"
                      : mark_lost ? "clients outside are not told from the pods (traffic policy Local)"
                                  : "the packet is not masqueraded, and replies go astray";
  fault("rules-missing",
        lacking.empty() ? fmt::format("{}, although the rules are there: others of the sets or rules stop it", effect)
                        : fmt::format("{}: iptables lacks {}", effect, listed(lacking, 2)),
        "the daemon writes them anew at its next look (ipvsd.rulesAuditPeriod); see kube-ipvsctl diff");
}

void Diagnosis::stopped(const Walk& walk) {
  const auto& last = walk.matched.back();
  if (last.chain == "KUBE-IPVS-FILTER")
    return fault("set-entry-missing",
                 fmt::format("KUBE-IPVS-FILTER rejects it: {} is an address of Services, and none of the sets has "
                             "{} port {}",
                             target_.address.to_string(), ipvsd::to_string(target_.protocol), target_.port.number),
                 "name the Services by --manifests or --kubeconfig to see which one should have it");
  std::vector<std::string> ranges;
  for (const auto& entry : facts_.entries)
    if (entry.set.kind == SetKind::load_balancer_source_cidr && entry.address == target_.address &&
        entry.port == target_.port && entry.protocol == target_.protocol)
      ranges.push_back(Cidr::of(entry.second, entry.prefix).to_string());
  fault("source-range",
        fmt::format("{} is not among the clients that loadBalancerSourceRanges lets in: {}",
                    packet_.from_node ? "the node itself" : out_.from, ranges.empty() ? "none" : listed(ranges)),
        "add the client's network to loadBalancerSourceRanges, or ask from one that is in it");
}

std::vector<std::string> Diagnosis::lacking_rules(const Walk& wanted) const {
  const auto& found = facts_.rules[static_cast<std::size_t>(target_.family())].tables;
  const auto has = [&](std::string_view table, std::string_view chain, std::string_view rule) {
    for (const auto& one : found)
      if (one.name == table)
        for (const auto& saved : one.rules)
          if (saved.chain == chain && saved.rule == rule) return true;
    return false;
  };
  std::vector<std::string> lacking;
  for (const auto& jump : ipvsd::rules(target_.family(), {}).jumps)
    if (!has(ipvsd::to_string(jump.table), jump.from, jump.rule()))
      lacking.push_back(fmt::format("{} {} -j {}", ipvsd::to_string(jump.table), jump.from, jump.to));
  for (const auto& matched : wanted.matched)
    if (!has(matched.table, matched.chain, matched.rule))
      lacking.push_back(fmt::format("{} {} {}", matched.table, matched.chain, matched.rule));
  return lacking;
}

}  // namespace ipvsd::ctl
