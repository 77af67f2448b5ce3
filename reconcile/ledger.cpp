#include "reconcile/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace ipvsd {
namespace {

auto by_key(std::vector<Destination>& destinations, const DestinationKey& key) {
  return std::lower_bound(destinations.begin(), destinations.end(), key,
                          [](const Destination& destination, const DestinationKey& k) { return destination.key < k; });
}

std::vector<Destination> sorted_destinations(const ObservedVirtualServer& found) {
  std::vector<Destination> destinations;
  destinations.reserve(found.destinations.size());
  for (const auto& observed : found.destinations) destinations.push_back(observed.destination);
  std::sort(destinations.begin(), destinations.end(),
            [](const Destination& a, const Destination& b) { return a.key < b.key; });
  return destinations;
}

}  // namespace

std::string to_string(const ObjectId& id) {
  if (const auto* server = std::get_if<VirtualServerKey>(&id)) return "virtual server " + server->to_string();
  if (const auto* bound = std::get_if<BoundAddress>(&id)) return "address " + bound->address.to_string();
  if (const auto* route = std::get_if<Cidr>(&id)) return "local route " + route->to_string();
  const auto& entry = std::get<SetEntry>(id);
  return fmt::format("{} {}", entry.set.name(), entry.element());
}

namespace {

// What an entry that leads outside clients past a virtual server belongs to.
VirtualServerKey frontend_of(const SetEntry& entry) { return {entry.address, entry.protocol, entry.port, 0}; }

}  // namespace

ObjectId object_of(const Operation& operation) {
  if (const auto* server = std::get_if<VirtualServer>(&operation.target)) return server->key;
  if (const auto* of = std::get_if<DestinationOf>(&operation.target)) return of->server;
  if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) return *bound;
  if (const auto* route = std::get_if<LocalRoute>(&operation.target)) return route->destination;
  const auto& entry = std::get<SetEntry>(operation.target);
  if (entry.set.kind == SetKind::outside) return frontend_of(entry);
  return entry;
}

std::vector<Destination>& Ledger::ServerRow::own_destinations() {
  if (std::exchange(as_wanted, false)) differing = claims.front().destinations;
  return differing;
}

void Ledger::ServerRow::compare_destinations() {
  if (as_wanted || claims.empty() || differing != claims.front().destinations) return;
  as_wanted = true;
  differing = std::vector<Destination>();  // with its room
}

void Ledger::ServerRow::set_destinations(std::vector<Destination> found) {
  as_wanted = false;
  differing = std::move(found);
  compare_destinations();
}

// --- desired --------------------------------------------------------------------------------------------------------

template <class Key>
void Ledger::count(std::unordered_map<Key, CountedRow>& rows, std::vector<Key>& dirty, const Key& key, int change) {
  CountedRow& row = rows[key];
  const bool before = row.claims > 0;
  row.claims = static_cast<std::uint32_t>(static_cast<int>(row.claims) + change);
  row.inherited = row.inherited && row.claims == 0;
  row.ours = row.ours || row.claims > 0;  // whoever made it: it serves one of our Services now
  if (before != (row.claims > 0)) touch_counted(dirty, key, row);
}

void Ledger::contribute(const Service& service, Contribution contribution) {
  const auto [entry, added] = owners_.try_emplace(service.key);
  Owner& owner = entry->second;
  // Counted up before counted down, so that what stays never reaches zero.
  for (const auto& address : contribution.addresses) count(addresses_, dirty_addresses_, address, +1);
  for (const auto& set_entry : contribution.entries) count(entries_, dirty_entries_, set_entry, +1);
  for (const auto& address : owner.addresses) count(addresses_, dirty_addresses_, address, -1);
  for (const auto& set_entry : owner.entries) count(entries_, dirty_entries_, set_entry, -1);

  if (!added && owner.created != service.created)  // deleted and created anew: its claims lose their age
    for (const auto& key : std::exchange(owner.servers, {})) unclaim(owner, key);
  owner.key = &entry->first;
  owner.created = service.created;
  owner.addresses = std::move(contribution.addresses);
  owner.entries = std::move(contribution.entries);

  std::vector<VirtualServerKey> keys;
  keys.reserve(contribution.frontends.size());
  for (const auto& frontend : contribution.frontends) keys.push_back(frontend.server.key);
  for (const auto& key : owner.servers)
    if (!std::binary_search(keys.begin(), keys.end(), key)) unclaim(owner, key);
  owner.servers = std::move(keys);
  for (auto& frontend : contribution.frontends) claim(owner, std::move(frontend));
}

void Ledger::withdraw(const ObjectKey& service) {
  const auto entry = owners_.find(service);
  if (entry == owners_.end()) return;
  const Owner& owner = entry->second;
  for (const auto& address : owner.addresses) count(addresses_, dirty_addresses_, address, -1);
  for (const auto& set_entry : owner.entries) count(entries_, dirty_entries_, set_entry, -1);
  for (const auto& key : owner.servers) unclaim(owner, key);
  owners_.erase(entry);
}

void Ledger::claim(const Owner& owner, Frontend frontend) {
  const VirtualServerKey key = frontend.server.key;
  ServerRow& row = servers_[key];
  row.inherited = false;
  auto held = std::find_if(row.claims.begin(), row.claims.end(), [&](const Claim& c) { return c.owner == &owner; });
  if (held != row.claims.end()) {
    const bool same = held->server == frontend.server && held->destinations == frontend.destinations &&
                      held->outside == frontend.outside;
    if (same) return;
    if (held == row.claims.begin()) row.own_destinations();
    held->server = std::move(frontend.server);
    held->destinations = std::move(frontend.destinations);
    held->outside = frontend.outside;
    if (held == row.claims.begin()) touch_server(key, row);
    return;
  }
  const auto place = std::find_if(row.claims.begin(), row.claims.end(), [&](const Claim& c) {
    return std::tie(owner.created, *owner.key) < std::tie(c.owner->created, *c.owner->key);
  });
  row.protocol = frontend.protocol;
  if (place == row.claims.begin()) row.own_destinations();
  const auto placed = row.claims.insert(
      place, {&owner, std::move(frontend.server), std::move(frontend.destinations), frontend.outside});
  if (placed == row.claims.begin()) touch_server(key, row);
  if (row.claims.size() < 2) return;
  contested_.insert(key);
  const bool wins = placed == row.claims.begin();
  new_conflicts_.push_back({key, *row.claims[0].owner->key, wins ? *row.claims[1].owner->key : *owner.key});
}

void Ledger::unclaim(const Owner& owner, const VirtualServerKey& key) {
  ServerRow& row = servers_.at(key);
  const bool was_first = row.claims.front().owner == &owner;
  if (was_first) row.own_destinations();
  std::erase_if(row.claims, [&](const Claim& c) { return c.owner == &owner; });
  if (was_first) touch_server(key, row);
  if (row.claims.size() < 2) contested_.erase(key);
}

void Ledger::touch_server(const VirtualServerKey& key, ServerRow& row) {
  if (std::exchange(row.dirty, true)) return;
  dirty_servers_.push_back(key);
}

void Ledger::touch(const ObjectId& id) {
  if (const auto* key = std::get_if<VirtualServerKey>(&id)) {
    if (const auto row = servers_.find(*key); row != servers_.end()) touch_server(*key, row->second);
  } else if (const auto* bound = std::get_if<BoundAddress>(&id)) {
    if (const auto row = addresses_.find(bound->address); row != addresses_.end())
      touch_counted(dirty_addresses_, bound->address, row->second);
  } else if (const auto* route = std::get_if<Cidr>(&id)) {
    routes_.touch(*route);
  } else {
    const auto& entry = std::get<SetEntry>(id);
    if (const auto row = entries_.find(entry); row != entries_.end()) touch_counted(dirty_entries_, entry, row->second);
  }
}

// --- actual ---------------------------------------------------------------------------------------------------------

void Ledger::observed(const KernelState& state, const std::unordered_set<VirtualServerKey>& owned) {
  std::unordered_set<IpAddress> ours;
  for (const auto& entry : state.entries) {
    if (entry.set.kind == SetKind::outside) {
      ServerRow& row = servers_[frontend_of(entry)];
      row.ours = row.inherited = true;
      observed_outside(frontend_of(entry), row, entry.mark);
      inherited_servers_.push_back(frontend_of(entry));
      continue;
    }
    CountedRow& row = entries_[entry];
    note_actual(entry, row.actual, true);
    row.actual = row.ours = row.inherited = true;  // the sets are ours altogether
    if (entry.set.kind == SetKind::ipvs_ips) ours.insert(entry.address);
    inherited_entries_.push_back(entry);
  }
  for (const auto& address : state.bound) {
    CountedRow& row = addresses_[address];
    row.actual = row.inherited = true;
    row.ours = ours.contains(address);
    inherited_addresses_.push_back(address);
  }
  (void)routes_.observed(state.routes);
  for (const auto& found : state.servers) {
    ServerRow& row = servers_[found.server.key];
    row.actual = found.server;
    row.set_destinations(sorted_destinations(found));
    row.ours = row.ours || owned.contains(found.server.key);
    row.inherited = true;
    inherited_servers_.push_back(found.server.key);
  }
}

bool Ledger::observed(const VirtualServerKey& key, const std::optional<ObservedVirtualServer>& found) {
  doubtful_servers_.erase(key);
  const auto known = servers_.find(key);
  if (!found) {
    // The entry that says that it is ours may have waited for it to go.
    if (key.fwmark != 0) touch(mark_entry(key.family(), key.fwmark));
    if (known == servers_.end()) return false;
    ServerRow& row = known->second;
    const bool differs = row.actual.has_value();
    row.actual.reset();
    row.set_destinations({});
    draining_.erase(key);
    if (differs) touch_server(key, row);
    forget_if_empty(key);  // it was in doubt, and never came to be
    return differs;
  }
  ServerRow& row = servers_[key];
  auto destinations = sorted_destinations(*found);
  const bool differs = row.actual != found->server || row.destinations() != destinations;
  row.actual = found->server;
  if (differs) row.set_destinations(std::move(destinations));
  if (differs) touch_server(key, row);
  return differs;
}

bool Ledger::observed_outside(const VirtualServerKey& key, ServerRow& row, Mark found) {
  row.outside_doubtful = false;
  if (std::exchange(row.actual_outside, found) == found) return false;
  touch_server(key, row);
  return true;
}

std::size_t Ledger::observed_outside(Family family, const std::vector<SetEntry>& members) {
  std::unordered_map<VirtualServerKey, Mark> present;
  for (const auto& entry : members) present[frontend_of(entry)] = entry.mark;
  std::size_t differences = 0;
  for (auto& [key, row] : servers_) {
    if (key.family() != family || row.actual_outside == Mark{} || present.contains(key)) continue;
    differences += observed_outside(key, row, {}) ? 1 : 0;
  }
  for (const auto& [key, mark] : present) {
    ServerRow& row = servers_[key];
    row.ours = true;
    differences += observed_outside(key, row, mark) ? 1 : 0;
  }
  return differences;
}

std::size_t Ledger::observed(IpSet set, const std::vector<SetEntry>& members) {
  if (set.kind == SetKind::outside) return observed_outside(set.family, members);
  const std::unordered_set<SetEntry> present(members.begin(), members.end());
  std::size_t differences = 0;
  for (auto& [entry, row] : entries_) {
    if (entry.set != set || !row.actual || present.contains(entry)) continue;
    note_actual(entry, true, false);
    row.actual = false;
    ++differences;
    touch_counted(dirty_entries_, entry, row);
  }
  for (const auto& entry : members) {
    CountedRow& row = entries_[entry];
    row.ours = true;
    if (std::exchange(row.actual, true)) continue;
    note_actual(entry, false, true);
    ++differences;
    touch_counted(dirty_entries_, entry, row);
  }
  return differences;
}

void Ledger::note_actual(const SetEntry& entry, bool before, bool now) {
  auto& count = actual_members_[static_cast<std::size_t>(entry.set.family)][static_cast<std::size_t>(entry.set.kind)];
  if (!before && now) ++count;
  if (before && !now) --count;
}

std::size_t Ledger::known_members(std::span<const SetEntry> members) const {
  return static_cast<std::size_t>(std::count_if(members.begin(), members.end(), [this](const SetEntry& entry) {
    const auto row = entries_.find(entry);
    return row != entries_.end() && row->second.actual;
  }));
}

std::size_t Ledger::actual_members(IpSet set) const {
  return actual_members_[static_cast<std::size_t>(set.family)][static_cast<std::size_t>(set.kind)];
}

bool Ledger::observed(const IpAddress& address, bool bound) {
  const auto known = addresses_.find(address);
  if (known == addresses_.end()) return false;  // somebody else's address on our link
  CountedRow& row = known->second;
  if (std::exchange(row.actual, bound) == bound) return false;
  // This may be the echo of a removal after which it was added again: the kernel does not tell us of that.
  row.doubtful = !bound && row.ours;
  touch_counted(dirty_addresses_, address, row);
  return true;
}

std::size_t Ledger::observed_bound(const std::unordered_set<IpAddress>& bound) {
  std::size_t missing = 0;
  for (auto& [address, row] : addresses_) {
    const bool is_bound = bound.contains(address);
    if (std::exchange(row.actual, is_bound) == is_bound) continue;
    missing += is_bound ? 0 : 1;
    touch_counted(dirty_addresses_, address, row);
  }
  return missing;
}

void Ledger::performed(const Operation& operation) {
  if (const auto* server = std::get_if<VirtualServer>(&operation.target)) {
    performed_server(operation.verb, *server);
  } else if (const auto* of = std::get_if<DestinationOf>(&operation.target)) {
    performed_destination(operation.verb, *of);
  } else if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) {
    performed_counted(addresses_, operation.verb, bound->address);
  } else if (const auto* route = std::get_if<LocalRoute>(&operation.target)) {
    routes_.performed(operation.verb, *route);
  } else {
    const auto& entry = std::get<SetEntry>(operation.target);
    if (entry.set.kind == SetKind::outside)
      performed_outside(operation.verb, entry);
    else
      performed_counted(entries_, operation.verb, entry);
  }
}

template <class Key>
void Ledger::performed_counted(std::unordered_map<Key, CountedRow>& rows, Verb verb, const Key& key) {
  CountedRow& row = rows[key];
  note_actual(key, row.actual, verb != Verb::remove);
  row.actual = row.ours = verb != Verb::remove;
  row.doubtful = false;
  if (!row.actual && row.claims == 0 && !row.dirty) rows.erase(key);
}

void Ledger::doubt(const Operation& operation) {
  if (const auto* entry = std::get_if<SetEntry>(&operation.target)) {
    if (entry->set.kind == SetKind::outside) {
      ServerRow& row = servers_[frontend_of(*entry)];
      row.outside_doubtful = row.ours = true;
    } else {
      CountedRow& row = entries_[*entry];
      row.doubtful = row.ours = true;
    }
  } else if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) {
    CountedRow& row = addresses_[bound->address];
    row.doubtful = row.ours = true;
  } else if (const auto* route = std::get_if<LocalRoute>(&operation.target)) {
    routes_.doubt(route->destination);
  } else {
    const auto key = std::get<VirtualServerKey>(object_of(operation));
    doubtful_servers_.insert(key);
    servers_[key].ours = true;
  }
}

void Ledger::performed_server(Verb verb, const VirtualServer& server) {
  ServerRow& row = servers_[server.key];
  if (verb == Verb::remove) {
    row.actual.reset();
    row.set_destinations({});
    draining_.erase(server.key);
    forget_if_empty(server.key);
    // The entry that says that it is ours stays as long as it does.
    if (server.key.fwmark != 0) touch(mark_entry(server.key.family(), server.key.fwmark));
    return;
  }
  row.actual = server;
  row.ours = true;
}

void Ledger::performed_destination(Verb verb, const DestinationOf& of) {
  ServerRow& row = servers_[of.server];
  auto& actual = row.own_destinations();
  if (actual.empty() && !row.claims.empty()) actual.reserve(row.claims.front().destinations.size());
  const auto place = by_key(actual, of.destination.key);
  const bool known = place != actual.end() && place->key == of.destination.key;
  if (verb == Verb::remove) {
    if (known) actual.erase(place);
  } else if (known) {
    *place = of.destination;
  } else {
    actual.insert(place, of.destination);
  }
  // Comparing is for the last of several: they come in the order of their keys, and go one by one.
  const bool last = verb == Verb::remove || of.destination.key == actual.back().key;
  if (last && !row.claims.empty() && actual.size() == row.claims.front().destinations.size())
    row.compare_destinations();
  if (verb == Verb::set && of.destination.weight == 0) draining_.try_emplace(of.server);
  if (const auto drains = draining_.find(of.server); verb == Verb::set && drains != draining_.end())
    drains->second.erase(of.destination.key);  // it waits from now on, or no longer
}

void Ledger::performed_outside(Verb verb, const SetEntry& entry) {
  const auto key = frontend_of(entry);
  ServerRow& row = servers_[key];
  row.actual_outside = verb == Verb::remove ? Mark{} : entry.mark;
  row.outside_doubtful = false;
  forget_if_empty(key);
}

void Ledger::forget_if_empty(const VirtualServerKey& key) {
  const auto row = servers_.find(key);
  if (row != servers_.end() && row->second.claims.empty() && !row->second.actual && !row->second.dirty &&
      row->second.actual_outside == Mark{} && !row->second.outside_doubtful && !doubtful_servers_.contains(key))
    servers_.erase(row);
}

// --- readers --------------------------------------------------------------------------------------------------------

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

bool Ledger::has_destinations(const VirtualServerKey& key) const {
  const auto row = servers_.find(key);
  return row != servers_.end() && !row->second.destinations().empty();
}

std::vector<DestinationKey> Ledger::wanted(const VirtualServerKey& key) const {
  std::vector<DestinationKey> keys;
  const auto row = servers_.find(key);
  if (row == servers_.end() || row->second.claims.empty()) return keys;
  const Claim& claim = row->second.claims.front();
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

bool Ledger::settled() const {
  return dirty_servers_.empty() && dirty_addresses_.empty() && dirty_entries_.empty() && routes_.settled();
}

}  // namespace ipvsd
