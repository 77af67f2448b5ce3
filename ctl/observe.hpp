// Reads the node's kernel for the commands, over the daemon's own netlink and ipset layers, and changes nothing: no
// module is loaded and no link or set made, so that a dump is safe on a node that another proxy runs, or none.
#pragma once

#include <functional>
#include <optional>

#include "ctl/observation.hpp"
#include "ctl/selector.hpp"
#include "ipset/sets.hpp"
#include "netlink/ipvs.hpp"
#include "netlink/links.hpp"
#include "netlink/routes.hpp"

namespace ipvsd::ctl {

// How much of the sets is wanted.
enum class SetDetail : std::uint8_t { none, counts, members };

struct ObserveOptions {
  SetDetail sets = SetDetail::none;
  bool addresses = true;
  bool rules = false;     // starts iptables-save for each family
  bool settings = false;  // sysctls and timeouts
};

// One thread.
class Observer {
 public:
  // Errors, each saying what to do: denied without root or CAP_NET_ADMIN, unsupported where IPVS is not there.
  [[nodiscard]] static Result<Observer> open();

  // What the selection matches. IPVS dumps are no snapshots: what changes meanwhile may be left out. A set that cannot
  // be read says so in its place.
  [[nodiscard]] Result<Observation> observe(const Selectors& selection, const ObserveOptions& options);

  // Whether it is there: a dump leaves entries out when others change.
  [[nodiscard]] Result<bool> exists(const VirtualServerKey& key);

  // The destinations of one; none if the virtual server has gone.
  [[nodiscard]] Result<ObservedServer> destinations(const nl::VirtualServerRecord& server);
  // The same into what is there, whose memory is used again.
  [[nodiscard]] Result<void> read_destinations(const nl::VirtualServerRecord& server, ObservedServer& into);

  // The members of a set that the selection matches, ascending. Errors: not_found; malformed.
  [[nodiscard]] Result<std::vector<SetEntry>> members(IpSet set, const Selectors& selection);

  // Names the virtual servers by firewall mark, by the sets that mark outside clients' packets. Where those cannot be
  // read they stay without a name.
  void name_marks(Names& names);

  // Changes of links and addresses since the last call (Links::notifications); readable when there are any.
  [[nodiscard]] int notification_fd() const { return links_.notification_fd(); }
  [[nodiscard]] std::vector<Notification> notifications() { return links_.notifications(); }

 private:
  Observer(nl::Ipvs ipvs, nl::Links links, nl::Routes routes, std::optional<IpSets> sets)
      : ipvs_(std::move(ipvs)), links_(std::move(links)), routes_(std::move(routes)), sets_(std::move(sets)) {}

  nl::Ipvs ipvs_;
  nl::Links links_;
  nl::Routes routes_;
  std::optional<IpSets> sets_;  // absent where the kernel has no ip_set loaded, and so no set
};

}  // namespace ipvsd::ctl
