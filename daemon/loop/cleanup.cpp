#include "daemon/loop/cleanup.hpp"

#include "reconcile/ledger.hpp"
#include "reconcile/ownership.hpp"

namespace ipvsd {

Result<void> clean_up(Kernel& kernel, Iptables& iptables, const std::vector<Cidr>& exclude_cidrs) {
  const auto addresses = kernel.addresses();
  if (!addresses) return fail(addresses.error());
  const auto state = kernel.observe();
  if (!state) return fail(state.error());

  // A cluster that wants nothing. What would be let drain goes at once, behind the rest.
  const auto ours = owned(*state, *addresses);
  Ledger ledger(exclude_cidrs);
  ledger.observed(*state, ours);
  ledger.start_pruning();
  auto plan = ledger.plan();
  for (const auto& found : state->servers)
    if (found.server.key.fwmark != 0 && ours.contains(found.server.key))
      plan[Phase::unserve_outside].push_back({Verb::remove, found.server});
  Result<void> result;
  for (const auto& phase : plan.phases)
    for (const auto& failure : kernel.execute(phase))
      if (failure.error.code != Errc::not_found && result) result = fail(failure.error);

  for (const auto family : families) {
    if (!iptables.backend(family)) continue;
    if (const auto removed = iptables.remove(family); !removed && result) result = removed;
  }
  if (const auto undone = kernel.unprepare(); !undone && result) result = undone;
  return result;
}

}  // namespace ipvsd
