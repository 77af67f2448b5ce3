// What others ask the ledger.
#include <algorithm>

#include "reconcile/ledger.hpp"

namespace ipvsd {

std::vector<Conflict> Ledger::conflicts() const {
  std::vector<Conflict> conflicts;
  for (const auto& key : contested_) {
    const auto& claims = servers_.at(key).claims;
    for (std::size_t i = 1; i < claims.size(); ++i)
      conflicts.push_back({key, *claims.front().owner->key, *claims[i].owner->key});
  }
  return conflicts;
}

std::vector<VirtualServerKey> Ledger::servers() const {
  std::vector<VirtualServerKey> keys;
  keys.reserve(servers_.size());
  for (const auto& [key, row] : servers_) keys.push_back(key);
  return keys;
}

std::vector<ObjectKey> Ledger::claimants(const ObjectId& id, std::size_t limit) const {
  std::vector<ObjectKey> services;
  if (const auto* key = std::get_if<VirtualServerKey>(&id)) {
    if (const auto row = servers_.find(*key); row != servers_.end())
      for (const auto& claim : row->second.claims) services.push_back(*claim.owner->key);
    if (services.size() > limit) services.resize(limit);
    return services;
  }
  if (std::holds_alternative<Cidr>(id)) return services;
  const auto* bound = std::get_if<BoundAddress>(&id);
  const auto wants = [&](const Owner& owner) {
    return bound != nullptr ? std::binary_search(owner.addresses.begin(), owner.addresses.end(), bound->address)
                            : std::binary_search(owner.entries.begin(), owner.entries.end(), std::get<SetEntry>(id));
  };
  for (const auto& [key, owner] : owners_) {
    if (services.size() == limit) break;
    if (wants(owner)) services.push_back(key);
  }
  std::sort(services.begin(), services.end());
  return services;
}

bool Ledger::is_actual(const VirtualServerKey& key) const {
  const auto row = servers_.find(key);
  return row != servers_.end() && row->second.actual.has_value();
}

const VirtualServer* Ledger::actual(const VirtualServerKey& key) const {
  const auto row = servers_.find(key);
  return row != servers_.end() && row->second.actual ? &*row->second.actual : nullptr;
}

bool Ledger::has_destinations(const VirtualServerKey& key) const {
  const auto row = servers_.find(key);
  return row != servers_.end() && !row->second.destinations().empty();
}

std::vector<DestinationKey> Ledger::wanted(const VirtualServerKey& key) const {
  std::vector<DestinationKey> keys;
  const auto row = servers_.find(key);
  if (row == servers_.end() || row->second.claims.empty()) return keys;
  const Claim& claim = row->second.claims.front();
  keys.reserve(claim.destinations.size());
  for (const auto& destination : claim.destinations) keys.push_back(destination.key);
  if (claim.outside == Mark{}) return keys;
  const auto outside = wanted({IpAddress::any(key.family()), Protocol::none, Port{}, claim.outside.value});
  std::vector<DestinationKey> all;
  std::set_union(keys.begin(), keys.end(), outside.begin(), outside.end(), std::back_inserter(all));
  return all;
}

bool Ledger::awaits_binding(const IpAddress& address) const {
  const auto row = addresses_.find(address);
  return row != addresses_.end() && row->second.claims > 0 && !row->second.actual;
}

Ledger::Size Ledger::actual_size() const {
  Size size;
  size.services = owners_.size();
  for (const auto& [key, row] : servers_) {
    size.servers += row.actual ? 1 : 0;
    size.destinations += row.destinations().size();
  }
  for (const auto& [address, row] : addresses_) size.addresses += row.actual ? 1 : 0;
  for (const auto& [entry, row] : entries_) size.entries += row.actual ? 1 : 0;
  size.routes = routes_.actual_count();
  return size;
}

bool Ledger::is_written(const ServerRow& row) const {
  const auto& claim = row.claims.front();
  if (!row.actual || *row.actual != claim.server || doubtful_servers_.contains(claim.server.key)) return false;
  if (row.actual_outside != claim.outside || row.outside_doubtful) return false;
  if (row.as_wanted) return true;
  auto have = row.differing.begin();
  for (const auto& want : claim.destinations) {
    for (; have != row.differing.end() && have->key < want.key; ++have)
      if (have->weight != 0) return false;
    if (have == row.differing.end() || *have++ != want) return false;
  }
  return std::all_of(have, row.differing.end(), [](const Destination& d) { return d.weight == 0; });
}

bool Ledger::is_written(const ObjectKey& service) const {
  const auto entry = owners_.find(service);
  if (entry == owners_.end()) return false;
  const Owner& owner = entry->second;
  const auto holds = [](const auto& rows, const auto& key) {
    const auto row = rows.find(key);
    return row != rows.end() && row->second.actual && !row->second.doubtful;
  };
  return std::all_of(owner.servers.begin(), owner.servers.end(),
                     [&](const auto& key) { return is_written(servers_.at(key)); }) &&
         std::all_of(owner.addresses.begin(), owner.addresses.end(),
                     [&](const auto& address) { return holds(addresses_, address); }) &&
         std::all_of(owner.entries.begin(), owner.entries.end(), [&](const auto& e) { return holds(entries_, e); });
}

bool Ledger::settled() const { return touched_.empty() && !has_put_off() && routes_.settled(); }

}  // namespace ipvsd
