#include "reconcile/routes.hpp"

#include <algorithm>
#include <utility>

namespace ipvsd {

std::vector<LocalRoute> desired_routes(const Policy& policy, const NodeView& view) {
  std::vector<LocalRoute> routes;
  for (const auto& cidr : policy.routed_cidrs) {
    if (!policy.serves[static_cast<std::size_t>(cidr.family())]) continue;
    LocalRoute route{cidr, {}};
    for (const auto& address : view.primary)
      if (address.family() == cidr.family() && view.has_elsewhere(address)) route.source = address;
    routes.push_back(route);
  }
  return routes;
}

void RouteRows::want(const std::vector<LocalRoute>& routes) {
  std::map<Cidr, LocalRoute> wanted;
  for (const auto& route : routes) wanted.emplace(route.destination, route);
  for (auto& [destination, row] : rows_)
    if (!wanted.contains(destination) && std::exchange(row.wanted, std::nullopt)) row.dirty = true;
  for (const auto& [destination, route] : wanted) {
    Row& row = rows_[destination];
    if (row.wanted == route) continue;
    row.wanted = route;
    row.dirty = true;
  }
}

std::size_t RouteRows::observed(const std::vector<LocalRoute>& routes) {
  std::map<Cidr, LocalRoute> found;
  for (const auto& route : routes) {
    found.emplace(route.destination, route);
    rows_.try_emplace(route.destination);
  }
  std::size_t differences = 0;
  for (auto& [destination, row] : rows_) {
    const auto here = found.find(destination);
    const auto actual = here == found.end() ? std::nullopt : std::optional(here->second);
    row.doubtful = false;
    if (actual == row.actual) continue;
    differences += row.wanted && row.actual ? 1 : 0;
    row.actual = actual;
    row.dirty = true;
  }
  return differences;
}

void RouteRows::performed(Verb verb, const LocalRoute& route) {
  Row& row = rows_[route.destination];
  row.doubtful = false;
  row.actual = verb == Verb::remove ? std::nullopt : std::optional(route);
  if (!row.wanted && !row.actual && !row.dirty) rows_.erase(route.destination);
}

void RouteRows::doubt(const Cidr& destination) { rows_[destination].doubtful = true; }

void RouteRows::touch(const Cidr& destination) {
  if (const auto row = rows_.find(destination); row != rows_.end()) row->second.dirty = true;
}

void RouteRows::start_pruning() {
  pruning_ = true;
  for (auto& [destination, row] : rows_)
    if (!row.wanted) row.dirty = true;
}

void RouteRows::plan(Plan& into, const std::array<bool, 2>& serves) {
  std::erase_if(rows_, [](const auto& entry) {
    const Row& row = entry.second;
    return !row.wanted && !row.actual && !row.doubtful;
  });
  for (auto& [destination, row] : rows_) {
    if (!std::exchange(row.dirty, false)) continue;
    if (row.wanted && (!row.actual || row.doubtful))
      into[Phase::route].push_back({Verb::add, *row.wanted});
    else if (row.wanted && row.actual != row.wanted)
      into[Phase::route].push_back({Verb::set, *row.wanted});
    else if (!row.wanted && pruning_ && serves[static_cast<std::size_t>(destination.family())])
      into[Phase::unroute].push_back({Verb::remove, LocalRoute{destination, {}}});
  }
}

bool RouteRows::settled() const {
  return std::none_of(rows_.begin(), rows_.end(), [](const auto& entry) { return entry.second.dirty; });
}

std::vector<Cidr> RouteRows::wanted() const {
  std::vector<Cidr> cidrs;
  for (const auto& [destination, row] : rows_)
    if (row.wanted) cidrs.push_back(destination);
  return cidrs;
}

std::vector<Cidr> RouteRows::serving() const {
  std::vector<Cidr> cidrs;
  for (const auto& [destination, row] : rows_)
    if (row.wanted && row.actual && !row.doubtful) cidrs.push_back(destination);
  return cidrs;
}

std::vector<Cidr> RouteRows::present() const {
  std::vector<Cidr> cidrs;
  for (const auto& [destination, row] : rows_)
    if (row.actual || row.doubtful) cidrs.push_back(destination);
  return cidrs;
}

bool RouteRows::is_present(const Cidr& destination) const {
  const auto row = rows_.find(destination);
  return row != rows_.end() && row->second.actual && !row->second.doubtful;
}

std::size_t RouteRows::actual_count() const {
  return static_cast<std::size_t>(
      std::count_if(rows_.begin(), rows_.end(), [](const auto& entry) { return entry.second.actual.has_value(); }));
}

}  // namespace ipvsd
