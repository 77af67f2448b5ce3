// The local routes that take the place of addresses on kube-ipvs0 (ipvsd.serviceAddresses: route): which ones there
// should be, and the difference to those that there are. A part of the ledger. Pure; one thread.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "reconcile/plan.hpp"
#include "reconcile/policy.hpp"

namespace ipvsd {

// One for each CIDR of the policy whose family is served. Its source is the node's own address of that family, if that
// is on one of its links: the kernel takes no other.
[[nodiscard]] std::vector<LocalRoute> desired_routes(const Policy& policy, const NodeView& view);

class RouteRows {
 public:
  // All there should be from now on.
  void want(const std::vector<LocalRoute>& routes);
  // All there are; returns how many of those wanted were taken for present and are missing or different.
  std::size_t observed(const std::vector<LocalRoute>& routes);
  void performed(Verb verb, const LocalRoute& route);
  void doubt(const Cidr& destination);
  // Plans it again although nothing about it changed.
  void touch(const Cidr& destination);
  // Unwanted ones go from now on.
  void start_pruning();

  // The operations for every row touched since the last call, added to the plan. Nothing of a family that is not served
  // is removed.
  void plan(Plan& into, const std::array<bool, 2>& serves);
  [[nodiscard]] bool settled() const;

  [[nodiscard]] std::vector<Cidr> wanted() const;
  // Where addresses need no binding: wanted, and the kernel is known to have it.
  [[nodiscard]] std::vector<Cidr> serving() const;
  // All that are or may be there, wanted or not.
  [[nodiscard]] std::vector<Cidr> present() const;
  [[nodiscard]] bool is_present(const Cidr& destination) const;
  [[nodiscard]] std::size_t actual_count() const;

 private:
  struct Row {
    std::optional<LocalRoute> wanted;
    std::optional<LocalRoute> actual;
    bool doubtful = false;
    bool dirty = false;
  };
  std::map<Cidr, Row> rows_;
  bool pruning_ = false;
};

}  // namespace ipvsd
