// Which flows connection tracking leads astray. An entry is made by a flow's first packet and holds as long as packets
// come, whatever became of the frontend meanwhile; TCP and SCTP end and begin anew, a UDP client on a fixed port does
// not. What the kernel does by itself, and what not, stands in netlink/conntrack.hpp. Pure.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/flows.hpp"
#include "reconcile/ledger.hpp"

namespace ipvsd {

// A frontend and where its flows may lead.
struct FrontendFlows {
  VirtualServerKey frontend;                 // UDP, by address
  std::vector<DestinationKey> destinations;  // sorted; none: no flow to the frontend is right
  friend bool operator==(const FrontendFlows&, const FrontendFlows&) = default;
};

// Whether a frontend's flows are looked at: UDP, and found by its address.
[[nodiscard]] bool has_flows(const VirtualServerKey& key);

// The frontend whose flows have to be looked at because of this operation, if any: a UDP destination or virtual server
// goes, or one gets its first destination. `before`: as it was before the operation.
[[nodiscard]] std::optional<VirtualServerKey> unsettles(const Operation& operation, const Ledger& before);

// The frontends that wait to be looked at; the latest word on each counts.
class UnsettledFlows {
 public:
  void add(FrontendFlows frontend);
  // As add(), unless there is a later word already.
  void put_back(FrontendFlows frontend);
  [[nodiscard]] bool empty() const { return frontends_.empty(); }
  [[nodiscard]] std::vector<FrontendFlows> take();

 private:
  std::unordered_map<VirtualServerKey, std::vector<DestinationKey>> frontends_;
};

// One look at the kernel's flows for all frontends of a family.
class FlowSearch {
 public:
  FlowSearch(Family family, std::span<const FrontendFlows> frontends);
  [[nodiscard]] bool empty() const { return destinations_.empty(); }
  // What the kernel is to leave out: as narrow as the frontends have it in common.
  [[nodiscard]] const FlowFilter& filter() const { return filter_; }
  // It goes to one of the frontends and is answered by none of that frontend's destinations.
  [[nodiscard]] bool stale(const Flow& flow) const;

 private:
  FlowFilter filter_;
  std::unordered_map<VirtualServerKey, std::span<const DestinationKey>> destinations_;
};

}  // namespace ipvsd
