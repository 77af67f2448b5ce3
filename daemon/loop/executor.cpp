#include "daemon/loop/executor.hpp"

namespace ipvsd {
namespace {

// Of doubtful virtual servers, before the loop turns to its other inputs.
constexpr std::size_t observations_per_plan = 64;

using Aspect = Subject::Aspect;

Subject frontend(const IpAddress& address, Protocol protocol, Port port) { return {{address, protocol, port, 0}}; }
Subject whole_address(const IpAddress& address) { return frontend(address, Protocol::none, Port{}); }
Subject by_mark(Family family, std::uint32_t mark) { return {{IpAddress::any(family), Protocol::none, Port{}, mark}}; }

Subject any_address(const Subject& subject) {
  const auto& key = subject.key;
  return frontend(IpAddress::any(key.family()), key.protocol, key.port);
}

Subject ownership_of(Subject subject) {
  subject.key.fwmark = 0;
  subject.aspect = Aspect::ownership;
  return subject;
}

Subject removal_of_routes(Family family) {
  return {whole_address(IpAddress::any(family)).key, Aspect::removal_of_routes};
}

Subject subject_of(const Operation& operation) {
  if (const auto* server = std::get_if<VirtualServer>(&operation.target)) return {server->key};
  if (const auto* of = std::get_if<DestinationOf>(&operation.target)) return {of->server};
  if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) return whole_address(bound->address);
  if (const auto* route = std::get_if<LocalRoute>(&operation.target)) {
    if (operation.verb == Verb::remove) return removal_of_routes(route->destination.family());
    return {whole_address(route->destination.address).key, Aspect::route};
  }
  const auto& entry = std::get<SetEntry>(operation.target);
  const auto on_nodes = [&](Protocol protocol) {
    return frontend(IpAddress::any(entry.set.family), protocol, entry.port);
  };
  switch (entry.set.kind) {
    case SetKind::node_port_tcp:
    case SetKind::node_port_local_tcp: return on_nodes(Protocol::tcp);
    case SetKind::node_port_udp:
    case SetKind::node_port_local_udp: return on_nodes(Protocol::udp);
    case SetKind::marks: return by_mark(entry.set.family, mark_of(entry));
    case SetKind::outside:
      if (entry.mark == Mark{}) break;
      return by_mark(entry.set.family, entry.mark.value);
    default: break;
  }
  return frontend(entry.address, entry.protocol, entry.port);
}

// What may not go on while this operation has failed. A destination, a hairpin entry and what comes last in a direction
// hold nothing up.
std::vector<Subject> blocked_by(Phase phase, const Operation& operation) {
  const Subject subject = subject_of(operation);
  switch (phase) {
    case Phase::restrict_:
      if (std::get<SetEntry>(operation.target).set.kind == SetKind::loop_back) return {};
      return {subject};
    case Phase::bind: return {removal_of_routes(subject.key.family())};
    case Phase::serve_outside:
    case Phase::serve:
    case Phase::unbind:
    case Phase::shut_out: return {subject};
    case Phase::unserve:
      return {subject, ownership_of(whole_address(subject.key.address)), ownership_of(any_address(subject))};
    default: return {};
  }
}

// The ledger was wrong, or may be now.
bool leaves_doubt(const Operation& operation, const Error& error) {
  const bool outcome_unknown = error.code == Errc::timed_out || error.code == Errc::overrun;
  const bool about_server = operation.target.index() <= 1;
  const bool unexpected = error.code == Errc::already_exists || error.code == Errc::not_found;
  return outcome_unknown || (about_server && unexpected);
}

}  // namespace

std::uint64_t Tally::count(std::size_t result) const {
  std::uint64_t sum = 0;
  for (const auto& kind : operations)
    for (const auto& verb : kind) sum += verb[result];
  return sum;
}

void Executor::execute(const Plan& plan, Instant now) {
  // Endpoints that go rely on nothing: with nothing to be written before them they travel with those that come.
  const bool together = !plan[Phase::fill].empty() && !plan[Phase::retire].empty() && plan[Phase::admit].empty() &&
                        plan[Phase::bind].empty() && plan[Phase::route].empty();
  std::vector<Operation> endpoints;
  for (std::size_t i = 0; i < phase_count; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (together && phase == Phase::fill) {
      endpoints = plan[Phase::fill];
      endpoints.insert(endpoints.end(), plan[Phase::retire].begin(), plan[Phase::retire].end());
      execute(phase, endpoints, now);
    } else if (!plan[phase].empty() && !(together && phase == Phase::retire)) {
      execute(phase, plan[phase], now);
    }
  }
  learn();
  look_again();
}

void Executor::learn() {
  for (const auto& operations : unlearned_)
    for (const auto& operation : operations) done(operation);
  unlearned_.clear();
}

void Executor::done(const Operation& operation) {
  ++tally_.operations[operation.target.index()][static_cast<std::size_t>(operation.verb)][0];
  if (const auto frontend = unsettles(operation, ledger_)) unsettled_.insert(*frontend);
  ledger_.performed(operation);
}

std::vector<ObjectId> Executor::take_waiting() {
  held_.clear();
  return std::exchange(waiting_, {});
}

bool Executor::blocked(Phase phase, const Operation& operation) const {
  const Subject subject = subject_of(operation);
  // The endpoints of what serves already are kept right whatever else about it fails.
  const bool endpoints = phase == Phase::fill_outside || phase == Phase::fill || phase == Phase::retire;
  if (endpoints && ledger_.is_actual(subject.key)) return false;
  if (phase == Phase::route || phase == Phase::unroute) return retries_.blocked(subject);
  return retries_.blocked(subject) || retries_.blocked(whole_address(subject.key.address)) ||
         retries_.blocked(any_address(subject)) ||
         (phase == Phase::unrestrict &&
          (retries_.blocked(ownership_of(subject)) || held_.contains(ownership_of(subject))));
}

std::vector<Operation> Executor::unblocked(Phase phase, const std::vector<Operation>& operations) {
  std::vector<Operation> free;
  for (const auto& operation : operations) {
    if (blocked(phase, operation)) {
      ++tally_.skipped;
      waiting_.push_back(object_of(operation));
      // What waits to go still has to be known as ours, by the next daemon too.
      if (phase == Phase::unserve)
        for (const auto& subject : blocked_by(phase, operation)) held_.insert(subject);
    } else {
      free.push_back(operation);
    }
  }
  return free;
}

void Executor::execute(Phase phase, const std::vector<Operation>& operations, Instant now) {
  std::vector<Operation> rest;
  const bool all_free = retries_.entries().empty();
  if (!all_free) rest = unblocked(phase, operations);
  const auto& all = all_free ? operations : rest;
  if (all.empty()) return;
  ++tally_.calls;
  const auto failures = kernel_.execute(all);
  if (all_free && failures.empty()) {
    unlearned_.emplace_back(operations);
    return;
  }
  learn();
  auto failure = failures.begin();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Operation& operation = all[i];
    const bool has_failed = failure != failures.end() && failure->index == i;
    const bool gone_anyway = has_failed && operation.verb == Verb::remove && failure->error.code == Errc::not_found;
    if (!has_failed || gone_anyway) {
      done(operation);
      if (!retries_.entries().empty()) retries_.succeeded(object_of(operation));
    } else {
      failed(phase, operation, failure->error, now);
    }
    if (has_failed) ++failure;
  }
}

void Executor::failed(Phase phase, const Operation& operation, const Error& error, Instant now) {
  const ObjectId id = object_of(operation);
  ++tally_.operations[operation.target.index()][static_cast<std::size_t>(operation.verb)][1];
  if (leaves_doubt(operation, error)) {
    if (const auto frontend = unsettles(operation, ledger_)) unsettled_.insert(*frontend);
    ledger_.doubt(operation);
  }
  const bool about_server = operation.target.index() <= 1;
  if (!about_server && error.code == Errc::not_found) unprepared_ = true;
  if (retries_.failed(id, error, blocked_by(phase, operation), now)) report_(error);
}

void Executor::look_again() {
  std::size_t left = observations_per_plan;
  for (const auto& key : ledger_.doubtful_servers()) {
    if (left-- == 0) return;
    const auto found = kernel_.observe(key);
    if (!found) return;  // it stays doubtful, and its retry comes back here
    ledger_.observed(key, *found);
  }
}

}  // namespace ipvsd
