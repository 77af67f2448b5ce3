// Looks at the kernel for watch.hpp, a bounded piece at a time.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "ctl/observe.hpp"
#include "ctl/watch.hpp"

namespace ipvsd::ctl {

// One thread.
class Watcher {
 public:
  Watcher(Observer observer, Names names, Selectors selection)
      : observer_(std::move(observer)), names_(std::move(names)), selection_(std::move(selection)) {}

  // One look: the virtual servers, the destinations of at most destination_slice of them in turn, and the sets, one by
  // one where there are more than entry_slice entries. The first looks, until everything was seen once, tell nothing.
  // IPVS dumps are no snapshots: what a dump leaves out is asked for by its key before it counts as removed.
  [[nodiscard]] Result<std::vector<Change>> look();

  // What rtnetlink told since the last call: kube-ipvs0 and its addresses.
  [[nodiscard]] std::vector<Change> notified();
  [[nodiscard]] int notification_fd() const { return observer_.notification_fd(); }

  static constexpr std::size_t destination_slice = 1000;
  static constexpr std::size_t entry_slice = 5000;

 private:
  [[nodiscard]] Result<void> look_at_servers(std::vector<Change>& all);
  [[nodiscard]] Result<void> look_at_destinations(std::vector<Change>& all);
  [[nodiscard]] Result<void> look_at_sets(std::vector<Change>& all);

  Observer observer_;
  Names names_;
  Selectors selection_;
  bool first_ = true;
  bool link_present_ = true;
  std::set<VirtualServerKey> first_round_;  // were there at the start, and not looked into yet
  WatchedServers servers_;
  std::map<VirtualServerKey, WatchedDestinations> destinations_;  // of those that were looked at
  std::deque<VirtualServerKey> turn_;
  std::map<IpSet, std::vector<SetEntry>> sets_;
  std::size_t set_turn_ = 0;
};

}  // namespace ipvsd::ctl
