// What a Service wants of this node's kernel, as the daemon computes it: firewall marks that are in the kernel are
// kept.
#pragma once

#include <algorithm>

#include "ctl/cluster.hpp"
#include "ctl/node_facts.hpp"

namespace ipvsd::ctl {

// The set that gives outside clients their marks is this proxy's alone; kube-proxy has none.
[[nodiscard]] inline bool has_marks(const NodeFacts& facts, Family family) {
  return std::find(facts.sets.begin(), facts.sets.end(), IpSet{SetKind::outside, family}) != facts.sets.end();
}

// Both outlive it.
class Wanted {
 public:
  // By our rules; or, where the node bears no trace of marks, by those that kube-proxy and this proxy share.
  enum class By : std::uint8_t { ours, shared };
  Wanted(const Cluster& cluster, const NodeFacts& facts, By by)
      : cluster_(cluster),
        facts_(facts),
        view_(cluster.view(facts.addresses, facts.routes)),
        marks_(cluster.policy.outside_mask) {
    marks_.observed(facts.entries);
    for (const auto family : families)
      if (by == By::shared && !has_marks(facts, family)) view_.marks_outside[static_cast<std::size_t>(family)] = false;
  }

  [[nodiscard]] const NodeView& view() const { return view_; }

  [[nodiscard]] Contribution of(const Service& service) {
    const auto marks = marks_.assign(
        service.key, outside_ports(service, cluster_.policy, view_), [this](Family family, std::uint32_t mark) {
          return facts_.server({IpAddress::any(family), Protocol::none, Port{}, mark}) != nullptr;
        });
    return desired(service, cluster_.state.slices_of(service.key), cluster_.policy, view_, marks);
  }

 private:
  const Cluster& cluster_;
  const NodeFacts& facts_;
  NodeView view_;
  Marks marks_;
};

}  // namespace ipvsd::ctl
