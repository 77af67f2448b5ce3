#include "daemon/loop/executor.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

VirtualServerKey whole_address(const IpAddress& address) { return {address, Protocol::none, Port{}, 0}; }

VirtualServerKey any_address(const VirtualServerKey& key) {
  return {IpAddress::any(key.family()), key.protocol, key.port, 0};
}

// What an operation is about: one frontend, an address with all its ports, or a port on all addresses.
VirtualServerKey subject_of(const Operation& operation) {
  if (const auto* server = std::get_if<VirtualServer>(&operation.target)) return server->key;
  if (const auto* of = std::get_if<DestinationOf>(&operation.target)) return of->server;
  if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) return whole_address(bound->address);
  const auto& entry = std::get<SetEntry>(operation.target);
  switch (entry.set.kind) {
    case SetKind::node_port_tcp:
    case SetKind::node_port_local_tcp:
      return {IpAddress::any(entry.set.family), Protocol::tcp, entry.port, 0};
    case SetKind::node_port_udp:
    case SetKind::node_port_local_udp:
      return {IpAddress::any(entry.set.family), Protocol::udp, entry.port, 0};
    default: return {entry.address, entry.protocol, entry.port, 0};
  }
}

bool outcome_unknown(const Error& error) { return error.code == Errc::timed_out || error.code == Errc::overrun; }

bool contradicts_ledger(const Error& error) {
  return error.code == Errc::already_exists || error.code == Errc::not_found || outcome_unknown(error);
}

}  // namespace

void Executor::execute(const Plan& plan, Instant now) {
  failed_.clear();
  doubtful_.clear();
  for (std::size_t i = 0; i < phase_count; ++i)
    if (!plan.phases[i].empty()) execute(static_cast<Phase>(i), plan.phases[i], now);
  look_again();
}

void Executor::execute(Phase phase, const std::vector<Operation>& operations, Instant now) {
  const std::vector<Operation>* all = &operations;
  std::vector<Operation> unblocked;
  if (!failed_.empty()) {
    for (const auto& operation : operations) {
      if (!blocked(operation)) {
        unblocked.push_back(operation);
        continue;
      }
      ++tally_.skipped;
      retries_.failed(object_of(operation), {Errc::busy, 0, to_string(operation) + ": waits for what it relies on"}, now);
    }
    all = &unblocked;
  }
  if (all->empty()) return;
  ++tally_.calls;
  const auto failures = kernel_.execute(*all);
  auto failure = failures.begin();
  for (std::size_t i = 0; i < all->size(); ++i) {
    const Operation& operation = (*all)[i];
    const bool has_failed = failure != failures.end() && failure->index == i;
    const bool gone_anyway =
        has_failed && operation.verb == Verb::remove && failure->error.code == Errc::not_found;
    const bool done = !has_failed || gone_anyway;
    ++tally_.operations[operation.target.index()][static_cast<std::size_t>(operation.verb)][done ? 0 : 1];
    if (done) {
      ledger_.performed(operation);
      retries_.succeeded(object_of(operation));
    } else {
      failed(phase, operation, failure->error, now);
    }
    if (has_failed) ++failure;
  }
}

void Executor::failed(Phase phase, const Operation& operation, const Error& error, Instant now) {
  const VirtualServerKey subject = subject_of(operation);
  failed_.insert(subject);
  // What could not be taken down keeps the set entries by which it is known to be ours.
  if (phase == Phase::unserve) {
    failed_.insert(whole_address(subject.address));
    failed_.insert(any_address(subject));
  }
  const bool about_server = operation.target.index() <= 1;
  if (about_server && contradicts_ledger(error)) doubtful_.insert(subject);
  if (retries_.failed(object_of(operation), error, now)) report_(error);
}

bool Executor::blocked(const Operation& operation) const {
  const VirtualServerKey subject = subject_of(operation);
  return failed_.contains(subject) || failed_.contains(whole_address(subject.address)) ||
         failed_.contains(any_address(subject));
}

void Executor::look_again() {
  for (const auto& key : doubtful_) {
    const auto found = kernel_.observe(key);
    if (found) ledger_.observed(key, *found);
  }
}

}  // namespace ipvsd
