#include "reconcile/local_summary.hpp"

#include <algorithm>

namespace ipvsd {

void LocalSummary::count(const LocalEndpoints& local, bool add) {
  const auto step = [add](std::size_t& number, bool counts) {
    if (counts) add ? ++number : --number;
  };
  for (std::size_t family = 0; family < families.size(); ++family) {
    step(without_[family].internal, local.none_internal[family]);
    step(without_[family].external, local.none_external[family]);
  }
}

void LocalSummary::put(const Service& service, const LocalEndpoints& local) {
  std::optional<HealthCheck> check;
  const bool has_family = local.ready[0].has_value() || local.ready[1].has_value();
  if (service.health_check_node_port.number != 0 && has_family)
    check = HealthCheck{service.uid, service.health_check_node_port, local.ready};
  LocalEndpoints kept = local;
  if (!check) kept.ready = {};

  const auto known = services_.find(service.key);
  const Held before = known == services_.end() ? Held{} : known->second;
  if (before.local == kept && before.check == check) return;
  count(before.local, false);
  count(kept, true);
  if (before.check != check) before_.try_emplace(service.key, before.check);
  if (kept.wrong_family && !before.local.wrong_family)
    wrong_families_.push_back({service.key, service.uid, *kept.wrong_family});
  if (!check && kept == LocalEndpoints{})
    services_.erase(service.key);
  else
    services_.insert_or_assign(service.key, Held{kept, std::move(check)});
}

void LocalSummary::remove(const ObjectKey& service) {
  const auto known = services_.find(service);
  if (known == services_.end()) return;
  count(known->second.local, false);
  if (known->second.check) before_.try_emplace(service, known->second.check);
  services_.erase(known);
}

std::vector<HealthCheckChange> LocalSummary::take_changes() {
  std::vector<HealthCheckChange> changes;
  for (const auto& [service, before] : before_) {
    const auto known = services_.find(service);
    const auto now = known == services_.end() ? std::nullopt : known->second.check;
    if (now != before) changes.push_back({service, now});
  }
  before_.clear();
  std::sort(changes.begin(), changes.end(), [](const HealthCheckChange& a, const HealthCheckChange& b) {
    return std::pair(a.check.has_value(), a.service) < std::pair(b.check.has_value(), b.service);
  });
  return changes;
}

}  // namespace ipvsd
