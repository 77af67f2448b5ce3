#include "daemon/loop/reconciler.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "reconcile/ownership.hpp"

namespace ipvsd {
namespace {

// Between attempts to make the link and the sets anew, and to list addresses.
constexpr std::chrono::seconds prepare_pause{1};
// Who changes what is ours does so again and again; the metric counts, the log says it from time to time.
constexpr std::chrono::minutes drift_report_pause{10};
// A start is written in pieces, as many at a step as keep it about this long: whatever changes waits for one step. What
// a Service costs the kernel grows with what is there: 50 us at the first thousand, 250 us beside 50,000 addresses.
constexpr std::chrono::milliseconds start_step{100};
constexpr std::size_t pieces_per_step = 16;

}  // namespace

Reconciler::Reconciler(Kernel& kernel, Policy policy, std::optional<IpAddress> primary, std::uint32_t seed, Log warn,
                       std::size_t services_per_step, std::size_t object_limit)
    : kernel_(kernel),
      policy_(std::move(policy)),
      primary_(primary),
      warn_(std::move(warn)),
      services_per_step_(services_per_step),
      cluster_(policy_.node_name, object_limit),
      ledger_(policy_.exclude_cidrs, policy_.serves),
      marks_(policy_.outside_mask),
      retries_(seed),
      executor_(kernel_, ledger_, retries_, [this](const Error& error) { warn_(error.message() + "; will retry"); }),
      auditor_(kernel_, ledger_) {}

Result<void> Reconciler::start() {
  if (const auto prepared = kernel_.prepare(); !prepared) return prepared;
  if (const auto observed = observe_addresses(); !observed) return observed;
  auto state = kernel_.observe();
  if (!state) return fail(state.error());
  for (const auto& key : unseen(*state)) {
    auto found = kernel_.observe(key);
    if (!found) return fail(found.error());
    if (*found) state->servers.push_back(std::move(**found));
  }
  ledger_.observed(*state, owned(*state, {addresses_.begin(), addresses_.end()}));
  marks_.observed(state->entries);
  return {};
}

Result<void> Reconciler::observe_addresses() {
  const auto addresses = kernel_.addresses();
  if (!addresses) return fail(addresses.error());
  std::unordered_set<IpAddress> bound;
  addresses_.clear();
  for (const auto& address : *addresses) {
    if (address.link == ipvs_link_name)
      bound.insert(address.address);
    else
      addresses_.insert(address);
  }
  counters_.drift_addresses += ledger_.observed_bound(bound);
  view_stale_ = true;
  addresses_stale_ = false;
  return {};
}

std::optional<Kind> Reconciler::apply(ClusterEvent event) {
  const auto left_out = cluster_.apply(std::move(event));
  if (!left_out) return {};
  if (left_out->first)
    warn_(
        fmt::format("{} {}: left out, because {} objects of its kind are held, which is the limit; it and others that "
                    "are come in with their next change once some have gone",
                    to_string(left_out->kind), left_out->key.to_string(), cluster_.object_limit()));
  return left_out->kind;
}

void Reconciler::notice(const Notification& notification) {
  if (const auto* change = std::get_if<AddressChange>(&notification)) {
    if (change->address.link == ipvs_link_name) {
      // Our own removals have left the ledger before their echo arrives here.
      if (ledger_.observed(change->address.address, change->present) && !change->present) ++counters_.drift_addresses;
      // With a link's last IPv4 address all its routes go, and nobody is told of that.
      routes_stale_ = routes_stale_ || (!change->present && !ledger_.routes().present().empty());
      return;
    }
    const bool changed =
        change->present ? addresses_.insert(change->address).second : addresses_.erase(change->address) > 0;
    view_stale_ = view_stale_ || changed;
  } else if (const auto* link = std::get_if<LinkChange>(&notification)) {
    if (link->link == ipvs_link_name) unprepared_ = unprepared_ || !link->present;
  } else if (std::holds_alternative<RouteRemoved>(notification)) {
    routes_stale_ = true;
  } else {
    addresses_stale_ = routes_stale_ = true;
  }
}

void Reconciler::observe_routes(Instant now) {
  const auto routes = kernel_.routes();
  if (!routes) {
    warn_(routes.error().message());
    next_prepare_ = now + prepare_pause;
    return;
  }
  counters_.drift_routes += ledger_.observed_routes(*routes);
  routes_stale_ = false;
}

// The routes come first: an address is left unbound, or unbound, only where the kernel has acknowledged the route that
// takes its place. At the first look nothing is written before all is computed, so the routes are taken for granted; no
// address goes before they stand or, where they cannot be had, before the Services were looked at again.
void Reconciler::refresh_view(Instant now) {
  const std::vector<LinkAddress> addresses(addresses_.begin(), addresses_.end());
  NodeView view = node_view(policy_, cluster_.node(), primary_, addresses);
  listen_ = ipvsd::listen_addresses(policy_, view.primary, addresses);
  view_stale_ = false;
  ledger_.want_routes(desired_routes(policy_, view));
  if (!at_first_look() && !ledger_.routes().settled()) {
    ledger_.plan(plan_);
    executor_.execute(plan_, now);
  }
  view.routed = at_first_look() ? ledger_.routes().wanted() : ledger_.routes().serving();
  if (view == view_) return;
  view_ = std::move(view);
  cluster_.touch_all();
}

void Reconciler::recompute(const ObjectKey& key) {
  ++counters_.recomputed;
  const Service* service = cluster_.service(key);
  auto triggers = cluster_.take_triggers(key);
  if (service == nullptr) {
    ledger_.withdraw(key);
    marks_.release(key);
    local_.remove(key);
    unwritten_.erase(key);
    return;
  }
  const auto marks =
      marks_.assign(key, outside_ports(*service, policy_, view_), [this](Family family, std::uint32_t mark) {
        return ledger_.knows({IpAddress::any(family), Protocol::none, Port{}, mark});
      });
  Contribution contribution = desired(*service, cluster_.slices_of(key), policy_, view_, marks);
  if (!first_sync_done_)
    for (const auto& frontend : contribution.frontends)
      if (has_flows(frontend.server.key)) unsettled_.insert(frontend.server.key);
  local_.put(*service, contribution.local);
  ledger_.contribute(*service, std::move(contribution));
  if (triggers.empty()) return;
  auto& waiting = unwritten_[key];
  waiting.insert(waiting.end(), triggers.begin(), triggers.end());
}

bool Reconciler::recompute_touched(std::size_t services) {
  for (std::size_t i = 0; i < services; ++i) {
    const auto key = cluster_.take_touched();
    if (!key) {
      uncomputed_ = 0;
      return false;
    }
    recompute(*key);
    if (uncomputed_ > 0) --uncomputed_;
  }
  return true;
}

// The first Services, the cluster's own among them, serve at once.
void Reconciler::put_off_pieces() {
  const auto addresses =
      ledger_.has_put_off() ? Ledger::MissingAddresses::last : Ledger::MissingAddresses::with_the_rest;
  const std::size_t services = std::max<std::size_t>(services_per_step_ / pieces_per_step, 1);
  for (std::size_t done = 0; done < services_per_step_; done += services) {
    const bool more = recompute_touched(services);
    ledger_.put_off(addresses);
    if (!more) return;
  }
}

void Reconciler::take_up_pieces(Instant now) {
  if (!ledger_.has_put_off()) return;
  const std::size_t most = std::min(services_per_step_, pieces_per_step);
  const auto took = now - std::exchange(took_up_, now);
  if (pieces_ == 0)
    pieces_ = most;
  else if (took > start_step)
    pieces_ = std::max<std::size_t>(pieces_ * start_step / took, 1);
  else
    pieces_ = std::min(pieces_ * 2, most);
  for (std::size_t i = 0; i < pieces_; ++i) ledger_.take_up();
}

std::vector<FrontendFlows> Reconciler::take_unsettled_flows() {
  unsettled_.merge(executor_.take_unsettled());
  std::vector<FrontendFlows> flows;
  std::erase_if(unsettled_, [&](const VirtualServerKey& key) {
    // Until its address is bound, packets pass by the virtual server and leave new entries.
    if (ledger_.awaits_binding(key.address)) return false;
    flows.push_back({key, ledger_.wanted(key)});
    return true;
  });
  return flows;
}

void Reconciler::note_written() {
  const bool all = ledger_.settled() && retries_.entries().empty();
  for (auto entry = unwritten_.begin(); entry != unwritten_.end();) {
    if (!all && !ledger_.is_written(entry->first)) {
      ++entry;
      continue;
    }
    written_.insert(written_.end(), entry->second.begin(), entry->second.end());
    entry = unwritten_.erase(entry);
  }
}

void Reconciler::prepare_again(Instant now) {
  const auto prepared = kernel_.prepare();
  unprepared_ = !prepared;
  next_prepare_ = now + prepare_pause;
  if (!prepared) {
    if (std::exchange(prepare_error_, prepared.error().message()) != prepared.error().message())
      warn_(prepared.error().message() + "; will retry");
    return;
  }
  prepare_error_.clear();
  if (now >= next_anew_report_) {
    warn_(fmt::format("{} or a set had been removed and is made anew", ipvs_link_name));
    next_anew_report_ = now + drift_report_pause;
  }
  addresses_stale_ = routes_stale_ = true;
  next_prepare_ = now;
  // New sets are empty, and an empty set restricts nothing.
  for (const auto& set : all_ip_sets())
    if (const auto members = kernel_.members(set)) counters_.drift_entries += ledger_.observed(set, *members);
}

bool Reconciler::step(Instant now) {
  if (!cluster_.synced()) return false;
  unprepared_ = executor_.take_unprepared() || unprepared_;
  if (unprepared_ && now >= next_prepare_) prepare_again(now);
  if (addresses_stale_ && now >= next_prepare_)
    if (const auto observed = observe_addresses(); !observed) {
      warn_(observed.error().message());
      next_prepare_ = now + prepare_pause;
    }
  if (routes_stale_ && now >= next_prepare_) observe_routes(now);
  const bool routes_wait = !at_first_look() && !ledger_.routes().settled();
  if (cluster_.take_node_changed() || view_stale_ || routes_wait) refresh_view(now);

  // So that no claim changes hands on the way, and each frontend takes up the mark that it had.
  if (!std::exchange(ordered_, true)) {
    cluster_.order_by_age();
    uncomputed_ = cluster_.touched();
  }
  // At the first look all Services are computed before the first of them is written: then the kernel need not wait for
  // us in between.
  if (at_first_look())
    put_off_pieces();
  else
    recompute_touched(services_per_step_);
  if (at_first_look()) return true;
  take_up_pieces(now);
  const auto due = retries_.take_due(now);
  for (const auto& id : due) ledger_.touch(id);
  if (!due.empty())
    for (const auto& id : executor_.take_waiting()) ledger_.touch(id);
  counters_.retries += due.size();
  ledger_.plan(plan_);
  executor_.execute(plan_, now);
  retries_.forget_settled();
  note_written();
  report_conflicts();
  report_wrong_families();
  report_unmarked();
  report_drift(now);
  view_stale_ = view_stale_ || ledger_.routes().serving() != view_.routed;
  if (cluster_.touched() > 0 || ledger_.has_put_off() || view_stale_) return true;
  plan_.give_back_room();
  first_sync_done_ = true;
  if (!pruning_ && cluster_.complete()) {
    pruning_ = true;
    ledger_.start_pruning();
    marks_.forget_observed();
    return true;
  }
  return !ledger_.settled();
}

void Reconciler::report_drift(Instant now) {
  const auto total =
      counters_.drift_servers + counters_.drift_addresses + counters_.drift_entries + counters_.drift_routes;
  if (total == told_drift_ || now < next_drift_report_) return;
  warn_(fmt::format("somebody else changed what is ours, and it is put right: {} objects since the last such line",
                    total - told_drift_));
  told_drift_ = total;
  next_drift_report_ = now + drift_report_pause;
}

void Reconciler::report_conflicts() {
  for (const auto& conflict : ledger_.take_new_conflicts()) {
    auto text =
        fmt::format("{}: Service {} and the older Service {} both want it; {} keeps it", conflict.server.to_string(),
                    conflict.loser.to_string(), conflict.owner.to_string(), conflict.owner.to_string());
    warn_(text);
    const Service* loser = cluster_.service(conflict.loser);
    notices_.push_back(
        {ServiceNotice::Kind::conflict, conflict.loser, loser != nullptr ? loser->uid : "", std::move(text)});
  }
}

void Reconciler::report_wrong_families() {
  for (const auto& [service, uid, address] : local_.take_wrong_families()) {
    auto text = fmt::format(
        "endpoint {} of Service {} is left out: {} is not the family of its EndpointSlice, or not served on this node",
        address.to_string(), service.to_string(), to_string(address.family()));
    warn_(text);
    notices_.push_back({ServiceNotice::Kind::wrong_family, service, uid, std::move(text)});
  }
}

void Reconciler::report_unmarked() {
  for (const auto& service : marks_.take_newly_refused())
    warn_(
        fmt::format("Service {}: no mark is left for its outside clients, and all clients share its local endpoints; "
                    "give ipvsd.externalMarkMask more bits",
                    service.to_string()));
}

// A virtual server as it is now; its own attributes are only asked for where its destinations are not as we know them.
// Nothing where it is gone or cannot be read: an error is never read as absence.
std::optional<ObservedVirtualServer> Reconciler::look_at(const VirtualServerKey& key) {
  if (const auto* server = ledger_.actual(key)) {
    auto destinations = kernel_.destinations(key);
    if (!destinations) return {};
    ObservedVirtualServer found{*server, std::move(*destinations)};
    if (ledger_.agrees(found)) return found;
  }
  auto found = kernel_.observe(key);
  if (!found) return {};
  ledger_.observed(key, *found);
  return std::move(*found);
}

bool Reconciler::poll_drains(Instant now, std::size_t limit) {
  if (drain_queue_.empty())
    for (const auto& [key, starts] : ledger_.draining()) drain_queue_.push_back(key);
  Plan removals;
  while (limit > 0 && !drain_queue_.empty()) {
    const VirtualServerKey key = drain_queue_.back();
    drain_queue_.pop_back();
    if (!ledger_.draining().contains(key)) continue;  // what drained has come back, or gone
    --limit;
    const auto found = look_at(key);
    if (!found) continue;
    auto plan = ledger_.plan_removals(*found, now, policy_.drain_timeout);
    for (const auto phase : {Phase::retire, Phase::unserve_outside})
      removals[phase].insert(removals[phase].end(), plan[phase].begin(), plan[phase].end());
  }
  executor_.execute(removals, now);
  return drain_queue_.empty();
}

bool Reconciler::audit(std::size_t servers, std::size_t sets) {
  const auto before = auditor_.differences();
  const bool ended = auditor_.look(servers, sets);
  counters_.drift_servers += auditor_.differences().servers - before.servers;
  counters_.drift_entries += auditor_.differences().entries - before.entries;
  unprepared_ = auditor_.take_set_missing() || unprepared_;
  if (!ended) return false;
  ++counters_.audits;
  routes_stale_ = routes_stale_ || !ledger_.routes().present().empty() || !policy_.routed_cidrs.empty();
  for (const auto& [key, ports] : marks_.refused()) cluster_.touch(key);  // by now there may be marks again
  return true;
}

void Reconciler::look_again() {
  auditor_.start_over();
  (void)audit(SIZE_MAX, SIZE_MAX);
  addresses_stale_ = routes_stale_ = true;
}

bool Reconciler::idle() const {
  return first_sync_done_ && cluster_.touched() == 0 && ledger_.settled() && retries_.entries().empty() && !must_look();
}

std::optional<Instant> Reconciler::next_retry() const {
  const auto due = retries_.next_due();
  const bool look = first_sync_done_ && must_look();
  return look && (!due || next_prepare_ < *due) ? next_prepare_ : due;
}

}  // namespace ipvsd
