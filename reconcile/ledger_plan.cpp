// The difference between the two sides of the ledger, as a plan.
#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

#include "reconcile/ledger.hpp"
#include "reconcile/ownership.hpp"
#include "scheduler/drain.hpp"

namespace ipvsd {
namespace {

// Of rows to be planned: more than a piece of a cold start has.
constexpr std::size_t kept_room = 8192;

}  // namespace

void Ledger::start_pruning() {
  pruning_ = true;
  routes_.start_pruning();
  for (const auto& key : std::exchange(inherited_servers_, {}))
    if (const auto row = servers_.find(key); row != servers_.end() && row->second.claims.empty()) touch(*row);
  for (const auto& address : std::exchange(inherited_addresses_, {}))
    if (const auto row = addresses_.find(address); row != addresses_.end() && row->second.claims == 0) touch(*row);
  for (const auto& entry : std::exchange(inherited_entries_, {}))
    if (const auto row = entries_.find(entry); row != entries_.end() && row->second.claims == 0) touch(*row);
}

bool Ledger::excluded(const VirtualServerKey& key) const {
  // One by mark has no address, and nobody else's can be ours: the set of marks tells.
  if (key.fwmark != 0) return false;
  return std::any_of(exclude_cidrs_.begin(), exclude_cidrs_.end(),
                     [&](const Cidr& cidr) { return cidr.contains(key.address); });
}

// An outside address on another link has no entry in KUBE-IPVS-IPS: by this one its virtual server is known to be ours,
// so it comes before it and goes after it. It lets nothing in: KUBE-IPVS-FILTER does not close that address.
bool Ledger::marks_ownership(const SetEntry& entry) const {
  return entry.set.type() == SetType::hash_ip_port && !addresses_.contains(entry.address);
}

// Of a virtual server by firewall mark that is still there: it would be nobody's without.
bool Ledger::proves_ownership(const SetEntry& entry) const {
  return entry.set.kind == SetKind::marks &&
         knows({IpAddress::any(entry.set.family), Protocol::none, Port{}, mark_of(entry)});
}

void Ledger::put_off(MissingAddresses missing) {
  if (!has_put_off()) last_piece_ = next_plan;
  if (touched_.empty() || last_piece_ == std::numeric_limits<Turn>::max()) return;
  Touched piece = std::exchange(touched_, {});
  piece.turn = ++last_piece_;
  const auto mark = [&](const auto& rows) {
    for (auto* entry : rows) entry->second.turn = piece.turn;
  };
  mark(piece.servers);
  mark(piece.addresses);
  mark(piece.entries);
  if (missing == MissingAddresses::last) {
    // One that goes, or may be there, goes with what says that it is ours.
    const auto is_missing = [](const auto* entry) {
      return entry->second.claims > 0 && !entry->second.actual && !entry->second.doubtful;
    };
    Touched last;
    last.turn = piece.turn;
    std::copy_if(piece.addresses.begin(), piece.addresses.end(), std::back_inserter(last.addresses), is_missing);
    std::erase_if(piece.addresses, is_missing);
    if (!last.empty()) addresses_put_off_.push_back(std::move(last));
  }
  if (!piece.empty()) put_off_.push_back(std::move(piece));
}

void Ledger::take_up() {
  auto& pieces = put_off_.empty() ? addresses_put_off_ : put_off_;
  if (pieces.empty()) return;
  const Touched piece = std::move(pieces.front());
  pieces.pop_front();
  const auto take = [&](const auto& rows) {
    for (auto* entry : rows) {
      --entry->second.listed;
      if (entry->second.turn == piece.turn)
        touch(*entry);
      else
        forget_if_empty(*entry);  // planned meanwhile, or about to be, or put off once more
    }
  };
  take(piece.servers);
  take(piece.addresses);
  take(piece.entries);
}

void Ledger::plan(Plan& plan) {
  plan.clear();
  routes_.plan(plan, serves_);
  const auto each = [this](auto& list, const auto& plan_row) {
    for (auto* entry : list) {
      entry->second.turn = untouched;
      --entry->second.listed;
      plan_row(entry->first, entry->second);
      forget_if_empty(*entry);
    }
    list.clear();
    if (list.capacity() > kept_room) list.shrink_to_fit();
  };
  each(touched_.servers, [&](const auto& key, auto& row) { plan_server(key, row, plan); });
  each(touched_.addresses, [&](const auto& address, const auto& row) { plan_address(address, row, plan); });
  each(touched_.entries, [&](const auto& entry, auto& row) { plan_entry(entry, row, plan); });
  // By set, in the order of set_order(): entries of one set travel together.
  const auto place = [](const Operation& operation) {
    const IpSet& set = std::get<SetEntry>(operation.target).set;
    return std::tuple(set_order(set.kind).rank, set.family, set.kind);
  };
  for (const auto phase : {Phase::restrict_, Phase::admit})
    std::stable_sort(plan[phase].begin(), plan[phase].end(),
                     [&](const Operation& a, const Operation& b) { return place(a) < place(b); });
  for (const auto phase : {Phase::shut_out, Phase::unrestrict})
    std::stable_sort(plan[phase].begin(), plan[phase].end(),
                     [&](const Operation& a, const Operation& b) { return place(b) < place(a); });
}

void Ledger::plan_address(const IpAddress& address, const CountedRow& row, Plan& plan) const {
  if (row.claims > 0 && (!row.actual || row.doubtful)) plan[Phase::bind].push_back({Verb::add, BoundAddress{address}});
  if (row.claims == 0 && (row.actual || row.doubtful) && removable(row, address.family()))
    plan[Phase::unbind].push_back({Verb::remove, BoundAddress{address}});
}

// What was there at the start and waits for the first complete view would be nobody's without this entry.
bool Ledger::proves_inherited(const SetEntry& entry) const {
  return !pruning_ && std::any_of(inherited_servers_.begin(), inherited_servers_.end(), [&](const auto& key) {
    if (!ipvsd::proves_ownership(entry, key)) return false;
    const auto row = servers_.find(key);
    return row != servers_.end() && row->second.inherited && row->second.actual && row->second.ours;
  });
}

void Ledger::plan_entry(const SetEntry& entry, CountedRow& row, Plan& plan) {
  const bool admits = set_order(entry.set.kind).admits && !marks_ownership(entry);
  if (row.claims > 0 && (!row.actual || row.doubtful))
    plan[admits ? Phase::admit : Phase::restrict_].push_back({Verb::add, entry});
  if (row.claims > 0 || (!row.actual && !row.doubtful)) return;
  if (!removable(row, entry.set.family) || proves_ownership(entry)) return;
  if (proves_inherited(entry)) {
    row.inherited = true;
    inherited_entries_.push_back(entry);
  } else {
    plan[admits ? Phase::shut_out : Phase::unrestrict].push_back({Verb::remove, entry});
  }
}

void Ledger::plan_server(const VirtualServerKey& key, ServerRow& row, Plan& plan) {
  plan_outside(key, row, plan);
  if (row.claims.empty()) {
    if (!removable(row, key.family()) || excluded(key)) return;
    if (row.actual) return plan_end(key, row, plan);
    // It may be there: it goes before what says that it is ours does.
    VirtualServer doubtful;
    doubtful.key = key;
    if (doubtful_servers_.contains(key))
      plan[key.fwmark != 0 ? Phase::unserve_outside : Phase::unserve].push_back({Verb::remove, doubtful});
    return;
  }
  const VirtualServer& wanted = row.claims.front().server;
  row.ours = row.ours || row.actual;  // whoever made it: it serves one of our Services now
  auto& operations = plan[key.fwmark != 0 ? Phase::serve_outside : Phase::serve];
  if (!row.actual)
    operations.push_back({Verb::add, wanted});
  else if (*row.actual != wanted)
    operations.push_back({Verb::set, wanted});
  plan_destinations(key, row, plan);
}

void Ledger::plan_outside(const VirtualServerKey& key, const ServerRow& row, Plan& plan) {
  const Mark wanted = row.claims.empty() ? Mark{} : row.claims.front().outside;
  if (wanted == row.actual_outside && !row.outside_doubtful) return;
  if (wanted != Mark{})
    plan[Phase::mark].push_back({Verb::add, outside_entry(key.address, key.protocol, key.port, wanted)});
  else if (!row.claims.empty() || unneeded(row, key.family()))  // the set is ours altogether
    plan[Phase::unmark].push_back({Verb::remove, outside_entry(key.address, key.protocol, key.port, {})});
}

// Nobody wants the virtual server any more. One by firewall mark may go because its frontends serve outside clients
// themselves from now on: the connections that it has are let end.
void Ledger::plan_end(const VirtualServerKey& key, const ServerRow& row, Plan& plan) {
  if (key.fwmark == 0 || !drains(row.protocol) || row.destinations().empty()) {
    plan[key.fwmark != 0 ? Phase::unserve_outside : Phase::unserve].push_back({Verb::remove, *row.actual});
    return;
  }
  draining_.try_emplace(key);
  for (Destination leaving : row.destinations()) {
    if (std::exchange(leaving.weight, 0) == 0) continue;
    plan[Phase::unserve_outside].push_back({Verb::set, DestinationOf{key, leaving}});
  }
}

void Ledger::plan_destinations(const VirtualServerKey& key, const ServerRow& row, Plan& plan) {
  if (row.as_wanted) return;
  const auto& wanted = row.claims.front().destinations;
  const auto& actual = row.differing;
  auto& fill = plan[key.fwmark != 0 ? Phase::fill_outside : Phase::fill];
  auto want = wanted.begin();
  auto have = actual.begin();
  while (want != wanted.end() || have != actual.end()) {
    if (have == actual.end() || (want != wanted.end() && want->key < have->key)) {
      fill.push_back({Verb::add, DestinationOf{key, *want++}});
    } else if (want == wanted.end() || have->key < want->key) {
      Destination leaving = *have++;
      if (!drains(row.protocol)) {
        plan[Phase::retire].push_back({Verb::remove, DestinationOf{key, leaving}});
      } else if (leaving.weight == 0) {
        draining_.try_emplace(key);  // found so at start, or set so before
      } else {
        leaving.weight = 0;
        plan[Phase::retire].push_back({Verb::set, DestinationOf{key, leaving}});
      }
    } else {
      if (*want != *have) fill.push_back({Verb::set, DestinationOf{key, *want}});
      ++want;
      ++have;
    }
  }
}

Plan Ledger::plan_removals(const ObservedVirtualServer& found, Instant now, std::optional<std::chrono::seconds> limit) {
  Plan plan;
  const auto entry = servers_.find(found.server.key);
  const bool ends = entry != servers_.end() && entry->second.claims.empty() && found.server.key.fwmark != 0;
  if (entry == servers_.end() || (entry->second.claims.empty() && !ends)) {
    draining_.erase(found.server.key);
    return plan;
  }
  static const std::vector<Destination> none;
  const auto& wanted = ends ? none : entry->second.claims.front().destinations;
  DrainStarts& before = draining_[found.server.key];
  DrainStarts waiting;
  for (const auto& observed : found.destinations) {
    const auto& key = observed.destination.key;
    const auto want = std::lower_bound(wanted.begin(), wanted.end(), key,
                                       [](const Destination& d, const DestinationKey& k) { return d.key < k; });
    if ((want != wanted.end() && want->key == key) || observed.destination.weight != 0) continue;
    const auto seen = before.find(key);
    const Instant since = seen != before.end() ? seen->second : now;
    waiting.emplace(key, since);
    if (drained(observed) || overdue(now - since, limit))
      plan[Phase::retire].push_back({Verb::remove, DestinationOf{found.server.key, observed.destination}});
  }
  before = std::move(waiting);
  if (before.empty()) draining_.erase(found.server.key);
  if (ends && plan[Phase::retire].size() == found.destinations.size()) {
    plan[Phase::retire].clear();
    plan[Phase::unserve_outside].push_back({Verb::remove, found.server});
  }
  return plan;
}

}  // namespace ipvsd
