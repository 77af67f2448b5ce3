#include "daemon/loop/hand_over.hpp"

#include "reconcile/ownership.hpp"

namespace ipvsd {
namespace {

std::uint64_t connections_of(const ObservedVirtualServer& server) {
  std::uint64_t count = 0;
  for (const auto& found : server.destinations)
    count += std::uint64_t{found.active_connections} + found.inactive_connections + found.persistent_connections;
  return count;
}

}  // namespace

Result<HandedOver> hand_over(Kernel& kernel, Iptables& iptables, const std::function<Result<void>(IpSet)>& destroy) {
  for (const auto family : families) {
    if (!iptables.backend(family)) continue;
    if (const auto removed = iptables.remove(family, Removal::own); !removed) return fail(removed.error());
  }
  const auto state = kernel.observe();
  if (!state) return fail(state.error());

  HandedOver done;
  std::array<bool, families.size()> marks_left{};
  std::vector<Operation> removals;
  const auto ours = owned(*state, {});
  for (const auto& found : state->servers) {
    const auto& key = found.server.key;
    if (key.fwmark == 0 || !ours.contains(key)) continue;
    const auto connections = connections_of(found);
    if (connections == 0) {
      removals.push_back({Verb::remove, found.server});
      removals.push_back({Verb::remove, mark_entry(key.family(), key.fwmark)});
      ++done.removed;
    } else {
      ++done.left;
      done.connections += connections;
      marks_left[static_cast<std::size_t>(key.family())] = true;
    }
  }
  for (const auto& failure : kernel.execute(removals))
    if (failure.error.code != Errc::not_found) return fail(failure.error);
  for (const auto family : families)
    for (const auto kind : {SetKind::outside, SetKind::marks}) {
      if (kind == SetKind::marks && marks_left[static_cast<std::size_t>(family)]) continue;
      if (const auto destroyed = destroy({kind, family}); !destroyed) return fail(destroyed.error());
    }
  return done;
}

}  // namespace ipvsd
