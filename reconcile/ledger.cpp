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
void Ledger::count(Counted<Key>& rows, const Key& key, int change) {
  auto& entry = *rows.try_emplace(key).first;
  CountedRow& row = entry.second;
  const bool before = row.claims > 0;
  row.claims = static_cast<std::uint32_t>(static_cast<int>(row.claims) + change);
  row.inherited = row.inherited && row.claims == 0;
  row.ours = row.ours || row.claims > 0;  // whoever made it: it serves one of our Services now
  if (before != (row.claims > 0)) touch(entry);
}

// Both sorted. Rows of what stays are not looked at.
template <class Key>
void Ledger::recount(Counted<Key>& rows, const std::vector<Key>& before, const std::vector<Key>& now) {
  auto was = before.begin();
  auto is = now.begin();
  while (was != before.end() || is != now.end()) {
    if (was == before.end() || (is != now.end() && *is < *was)) {
      count(rows, *is++, +1);
    } else if (is == now.end() || *was < *is) {
      count(rows, *was++, -1);
    } else {
      ++was;
      ++is;
    }
  }
}

void Ledger::contribute(const Service& service, Contribution contribution) {
  const auto [entry, added] = owners_.try_emplace(service.key);
  Owner& owner = entry->second;
  recount(addresses_, owner.addresses, contribution.addresses);
  recount(entries_, owner.entries, contribution.entries);

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
  take_out(owner);
}

void Ledger::withdraw(const ObjectKey& service) {
  const auto entry = owners_.find(service);
  if (entry == owners_.end()) return;
  const Owner& owner = entry->second;
  recount(addresses_, owner.addresses, {});
  recount(entries_, owner.entries, {});
  for (const auto& key : owner.servers) unclaim(owner, key);
  owners_.erase(entry);
}

// What of the Service was put off is planned with what has just changed: a part of it alone could bind an address
// before its virtual server stands, or leave that without what says that it is ours. So is what others have put off who
// have one of its frontends.
void Ledger::take_out(const Owner& owner) {
  if (!has_put_off()) return;
  const auto take = [this](auto& rows, const auto& keys, const auto& taken) {
    for (const auto& key : keys)
      if (const auto entry = rows.find(key); entry != rows.end() && entry->second.turn > next_plan) {
        this->touch(*entry);
        taken(entry->second);
      }
  };
  std::vector<const Owner*> owners{&owner};
  while (!owners.empty()) {
    const Owner& next = *owners.back();
    owners.pop_back();
    take(addresses_, next.addresses, [](const CountedRow&) {});
    take(entries_, next.entries, [](const CountedRow&) {});
    take(servers_, next.servers, [&](const ServerRow& row) {
      if (!row.claims.empty() && row.claims.front().owner != &next) owners.push_back(row.claims.front().owner);
    });
  }
}

void Ledger::claim(const Owner& owner, Frontend frontend) {
  auto& entry = *servers_.try_emplace(frontend.server.key).first;
  ServerRow& row = entry.second;
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
    if (held == row.claims.begin()) touch(entry);
    return;
  }
  const auto place = std::find_if(row.claims.begin(), row.claims.end(), [&](const Claim& c) {
    return std::tie(owner.created, *owner.key) < std::tie(c.owner->created, *c.owner->key);
  });
  row.protocol = frontend.protocol;
  if (place == row.claims.begin()) row.own_destinations();
  const auto placed = row.claims.insert(
      place, {&owner, std::move(frontend.server), std::move(frontend.destinations), frontend.outside});
  if (placed == row.claims.begin()) touch(entry);
  if (row.claims.size() < 2) return;
  contested_.insert(entry.first);
  const bool wins = placed == row.claims.begin();
  new_conflicts_.push_back({entry.first, *row.claims[0].owner->key, wins ? *row.claims[1].owner->key : *owner.key});
}

void Ledger::unclaim(const Owner& owner, const VirtualServerKey& key) {
  auto& entry = *servers_.find(key);
  ServerRow& row = entry.second;
  const bool was_first = row.claims.front().owner == &owner;
  if (was_first) row.own_destinations();
  std::erase_if(row.claims, [&](const Claim& c) { return c.owner == &owner; });
  if (was_first) {
    touch(entry);
    if (!row.claims.empty()) take_out(*row.claims.front().owner);
  }
  if (row.claims.size() < 2) contested_.erase(key);
}

template <class Map, class Key>
void Ledger::touch_known(Map& rows, const Key& key) {
  if (const auto entry = rows.find(key); entry != rows.end()) touch(*entry);
}

void Ledger::touch(const ObjectId& id) {
  if (const auto* key = std::get_if<VirtualServerKey>(&id)) {
    touch_known(servers_, *key);
  } else if (const auto* bound = std::get_if<BoundAddress>(&id)) {
    touch_known(addresses_, bound->address);
  } else if (const auto* route = std::get_if<Cidr>(&id)) {
    routes_.touch(*route);
  } else {
    touch_known(entries_, std::get<SetEntry>(id));
  }
}

// --- actual ---------------------------------------------------------------------------------------------------------

void Ledger::observed(const KernelState& state, const std::unordered_set<VirtualServerKey>& owned) {
  std::unordered_set<IpAddress> ours;
  for (const auto& entry : state.entries) {
    if (entry.set.kind == SetKind::outside) {
      auto& server = *servers_.try_emplace(frontend_of(entry)).first;
      server.second.ours = server.second.inherited = true;
      observed_outside(server, entry.mark);
      inherited_servers_.push_back(server.first);
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
    if (differs) touch(*known);
    forget_if_empty(*known);  // it was in doubt, and never came to be
    return differs;
  }
  auto& entry = *servers_.try_emplace(key).first;
  ServerRow& row = entry.second;
  row.confirmed_in = pass_;
  auto destinations = sorted_destinations(*found);
  const bool differs = row.actual != found->server || row.destinations() != destinations;
  row.actual = found->server;
  if (differs) row.set_destinations(std::move(destinations));
  if (differs) touch(entry);
  return differs;
}

bool Ledger::agrees(const ObservedVirtualServer& found) const {
  const auto entry = servers_.find(found.server.key);
  return entry != servers_.end() && !doubtful_servers_.contains(found.server.key) &&
         entry->second.actual == found.server && entry->second.destinations() == sorted_destinations(found);
}

bool Ledger::confirmed(const ObservedVirtualServer& found) {
  const bool agreed = agrees(found);
  if (agreed) servers_.at(found.server.key).confirmed_in = pass_;
  return agreed;
}

void Ledger::start_pass() {
  ++pass_;
  buckets_passed_ = 0;
}

// By buckets, which are about as many as rows: a place among them outlives any change of the table.
bool Ledger::next_unconfirmed(std::size_t rows, std::vector<VirtualServerKey>& into) {
  const std::size_t buckets = servers_.bucket_count();
  for (; rows > 0 && buckets_passed_ < buckets; --rows, ++buckets_passed_)
    for (auto entry = servers_.cbegin(buckets_passed_); entry != servers_.cend(buckets_passed_); ++entry)
      if (entry->second.actual && entry->second.confirmed_in != pass_) into.push_back(entry->first);
  return buckets_passed_ < buckets;
}

bool Ledger::observed_outside(Servers::value_type& entry, Mark found) {
  entry.second.outside_doubtful = false;
  if (std::exchange(entry.second.actual_outside, found) == found) return false;
  touch(entry);
  return true;
}

std::size_t Ledger::observed_outside(Family family, const std::vector<SetEntry>& members) {
  std::unordered_map<VirtualServerKey, Mark> present;
  for (const auto& entry : members) present[frontend_of(entry)] = entry.mark;
  std::size_t differences = 0;
  for (auto& entry : servers_) {
    const auto& [key, row] = entry;
    if (key.family() != family || row.actual_outside == Mark{} || present.contains(key)) continue;
    differences += observed_outside(entry, {}) ? 1 : 0;
  }
  for (const auto& [key, mark] : present) {
    auto& entry = *servers_.try_emplace(key).first;
    entry.second.ours = true;
    differences += observed_outside(entry, mark) ? 1 : 0;
  }
  return differences;
}

std::size_t Ledger::observed(IpSet set, const std::vector<SetEntry>& members) {
  if (set.kind == SetKind::outside) return observed_outside(set.family, members);
  const std::unordered_set<SetEntry> present(members.begin(), members.end());
  std::size_t differences = 0;
  for (auto& known : entries_) {
    auto& [entry, row] = known;
    if (entry.set != set || !row.actual || present.contains(entry)) continue;
    note_actual(entry, true, false);
    row.actual = false;
    ++differences;
    touch(known);
  }
  for (const auto& entry : members) {
    auto& known = *entries_.try_emplace(entry).first;
    known.second.ours = true;
    if (std::exchange(known.second.actual, true)) continue;
    note_actual(entry, false, true);
    ++differences;
    touch(known);
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
  touch(*known);
  return true;
}

std::size_t Ledger::observed_bound(const std::unordered_set<IpAddress>& bound) {
  std::size_t missing = 0;
  for (auto& entry : addresses_) {
    const bool is_bound = bound.contains(entry.first);
    if (std::exchange(entry.second.actual, is_bound) == is_bound) continue;
    missing += is_bound ? 0 : 1;
    touch(entry);
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
void Ledger::performed_counted(Counted<Key>& rows, Verb verb, const Key& key) {
  auto& entry = *rows.try_emplace(key).first;
  CountedRow& row = entry.second;
  note_actual(key, row.actual, verb != Verb::remove);
  row.actual = row.ours = verb != Verb::remove;
  row.doubtful = false;
  forget_counted(rows, entry);
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

Ledger::ServerRow& Ledger::performed_row(const VirtualServerKey& key) {
  if (last_performed_ == nullptr || last_performed_->first != key) last_performed_ = &*servers_.try_emplace(key).first;
  return last_performed_->second;
}

void Ledger::performed_server(Verb verb, const VirtualServer& server) {
  ServerRow& row = performed_row(server.key);
  if (verb == Verb::remove) {
    row.actual.reset();
    row.set_destinations({});
    draining_.erase(server.key);
    forget_if_empty(server.key);
    return;
  }
  row.actual = server;
  row.ours = true;
}

void Ledger::performed_destination(Verb verb, const DestinationOf& of) {
  ServerRow& row = performed_row(of.server);
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
  if (row.as_wanted && !draining_.empty()) draining_.erase(of.server);
  if (row.as_wanted || verb != Verb::set) return;
  if (of.destination.weight == 0) draining_.try_emplace(of.server);
  if (const auto drains = draining_.find(of.server); drains != draining_.end())
    drains->second.erase(of.destination.key);  // it waits from now on, or no longer
}

void Ledger::performed_outside(Verb verb, const SetEntry& entry) {
  const auto key = frontend_of(entry);
  ServerRow& row = servers_[key];
  row.actual_outside = verb == Verb::remove ? Mark{} : entry.mark;
  row.outside_doubtful = false;
  forget_if_empty(key);
}

void Ledger::forget_if_empty(Servers::value_type& entry) {
  const ServerRow& row = entry.second;
  if (!row.claims.empty() || row.actual || row.listed > 0 || row.actual_outside != Mark{} || row.outside_doubtful ||
      doubtful_servers_.contains(entry.first))
    return;
  const VirtualServerKey key = entry.first;
  if (last_performed_ == &entry) last_performed_ = nullptr;
  servers_.erase(servers_.find(key));
  // The entry that says that it is ours stays as long as it is known.
  if (key.fwmark != 0) touch(mark_entry(key.family(), key.fwmark));
}

void Ledger::forget_if_empty(const VirtualServerKey& key) {
  if (const auto entry = servers_.find(key); entry != servers_.end()) forget_if_empty(*entry);
}

}  // namespace ipvsd
