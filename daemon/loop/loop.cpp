#include "daemon/loop/loop.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ipvsd {
namespace {

using std::chrono::milliseconds;

// All that drain are looked at in turn, so many virtual servers at a time with a pause between: each is a dump of its
// destinations, and what has drained gets nothing new and may wait. A few are looked at once a second.
constexpr milliseconds drain_poll_period{1000};
constexpr std::size_t drains_per_poll = 16;
constexpr milliseconds drain_poll_pause = drain_poll_period / 16;
// As many failing rows, and no success, are a node that cannot be written to.
constexpr std::size_t hopeless_rows = 5;

void count(const ClusterEvent& event, Metrics& metrics) {
  const auto changed = [&](Kind kind) {
    metrics.watch_events(kind);
    if (kind == Kind::service) metrics.service_change();
    if (kind == Kind::endpoint_slice) metrics.endpoint_change();
  };
  if (const auto* upserted = std::get_if<Upsert>(&event)) changed(kind_of(upserted->object));
  if (const auto* removed = std::get_if<Remove>(&event)) changed(removed->kind);
  if (const auto* kept = std::get_if<Keep>(&event)) metrics.rejected_object(kept->kind);
  if (const auto* ended = std::get_if<ReplaceEnd>(&event)) metrics.watch_list(ended->kind);
}

}  // namespace

Loop::Loop(Parts parts, Options options) : parts_(parts), options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  // What began before this process did is no measure of it.
  parts_.reconciler.note_changes_since(parts_.health.started().wall);
}

Result<void> Loop::watch(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "epoll_ctl");
  return {};
}

Result<void> Loop::run() {
  for (const int fd : {parts_.signal_fd, parts_.kernel.notification_fd()})
    if (const auto watched = watch(fd, EPOLLIN); !watched) return watched;
  // All that waits is taken at each turn; what has woken us need not be read.
  if (const auto watched = watch(parts_.inbox.fd(), EPOLLIN | EPOLLET); !watched) return watched;
  // From now on a change that waits too long counts; before the first complete view of the API none does.
  for (const auto family : families) parts_.health.updated(family, Moment::now());
  bool more = true;
  Moment now;
  for (;;) {
    std::array<epoll_event, 4> events{};
    // From the start of the turn before: looking at the clock once more costs more than being that much late.
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms(now.steady, more));
    if (count < 0 && errno != EINTR) return fail_errno(errno, "epoll_wait");
    bool notified = false;
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == parts_.signal_fd) return {};
      notified = notified || fd == parts_.kernel.notification_fd();
    }
    now = Moment::now();
    take_events(now, notified);
    more = work(now);
    report();
    report_watches(now.steady);
    if (options_.once && !more && parts_.reconciler.synced())
      if (const auto result = once_result()) return *result;
    more = parts_.answer({parts_.reconciler, now, last_event_, parts_.rules_in_place()}) || more;
  }
}

void Loop::take_events(const Moment& now, bool notified) {
  auto events = parts_.inbox.take();
  if (!events.empty()) last_event_ = now;
  for (auto& event : events) {
    count(event, parts_.metrics);
    if (const auto left_out = parts_.reconciler.apply(std::move(event))) parts_.metrics.rejected_object(*left_out);
  }
  if (notified)
    for (const auto& notification : parts_.kernel.notifications()) parts_.reconciler.notice(notification);

  const Node* node = parts_.reconciler.cluster().node();
  if ((node != nullptr) != node_.has_value() || (node != nullptr && *node != *node_)) {
    node_ = node != nullptr ? std::optional(*node) : std::nullopt;
    if (node != nullptr) parts_.health.set_node_eligible(node->eligible);
    parts_.node_changed(node);
  }
}

bool Loop::work(const Moment& now) {
  auto& reconciler = parts_.reconciler;
  if (!reconciler.cluster().synced()) return false;
  if (!pending_ && (reconciler.cluster().touched() > 0 || !reconciler.synced())) {
    pending_ = true;
    before_ = {reconciler.tally().count(0), reconciler.tally().count(1)};
    for (const auto family : families) {
      parts_.health.queued(family, now);
      parts_.metrics.queued(family, now.wall);
    }
  }
  if (!parts_.rules_in_place()) return false;
  const bool disturbed = !parts_.alone();
  if (std::exchange(disturbed_, disturbed) && !disturbed) reconciler.look_again();
  if (disturbed) return false;
  if (!std::exchange(syncing_, true)) sync_began_ = now.steady;
  const bool more = reconciler.step(now.steady);
  publish();
  // A few objects that keep failing are their own trouble; that nothing at all can be written is the node's.
  const Tally& tally = reconciler.tally();
  const bool nothing_works = reconciler.retries().entries().size() >= hopeless_rows &&
                             tally.count(1) > before_.failed && tally.count(0) == before_.done;
  if (pending_ && !more && !nothing_works) {
    pending_ = false;
    const Moment moment = now.at(std::chrono::steady_clock::now());
    for (const auto family : families) {
      parts_.health.updated(family, moment);
      parts_.metrics.synced(family, moment.wall);
      parts_.metrics.sync_duration(family, moment.steady - sync_began_);
    }
  }
  if (!pending_) {
    syncing_ = false;
    reconciler.forget_changes();
  }
  if (more) return true;
  if (auto flows = reconciler.take_unsettled_flows(); !flows.empty()) parts_.sweep_flows(std::move(flows));
  if (options_.once) return false;
  if (reconciler.draining() && now.steady >= next_drain_poll_) {
    const bool all_seen = reconciler.poll_drains(now.steady, drains_per_poll);
    next_drain_poll_ = now.steady + (all_seen ? drain_poll_period : drain_poll_pause);
  }
  if (now.steady >= next_audit_) {
    const auto pace = audit_pace(reconciler.ledger().server_count(), options_.audit_period);
    // At the first time all has been looked at just now.
    if (next_audit_ != Instant{}) (void)reconciler.audit(pace.servers, pace.sets);
    next_audit_ = now.steady + pace.tick;
  }
  return !reconciler.ledger().settled();
}

void Loop::publish() {
  auto& reconciler = parts_.reconciler;
  auto changes = reconciler.take_health_checks();
  const auto& addresses = reconciler.listen_addresses();
  if (parts_.health_checks && (!changes.empty() || addresses != published_addresses_)) {
    published_addresses_ = addresses;
    parts_.health_checks(std::move(changes), addresses);
  }
  if (auto routes = reconciler.ledger().routes().present(); routes != published_routes_) {
    published_routes_ = std::move(routes);
    parts_.routed(published_routes_);
  }
  for (const auto& notice : reconciler.take_notices())
    if (parts_.notice) parts_.notice(notice);

  if (const auto written = reconciler.take_written(); !written.empty()) {
    const auto wall = std::chrono::system_clock::now();
    for (const auto& [family, began] : written)
      parts_.metrics.network_programming_duration(family, std::max(wall - began, std::chrono::nanoseconds(0)));
  }
  for (const auto family : families) {
    const auto without = reconciler.local().without(family);
    parts_.metrics.set_no_local_endpoints(family, without.internal, without.external);
  }
}

std::optional<Result<void>> Loop::once_result() const {
  const auto& failing = parts_.reconciler.retries().entries();
  if (failing.empty()) return Result<void>{};
  constexpr std::uint32_t attempts = 3;
  for (const auto& [id, entry] : failing)
    if (entry.attempts < attempts) return {};
  const auto& first = failing.begin()->second.error;
  return fail(first.within(fmt::format("{} objects could not be written, first", failing.size())));
}

int Loop::timeout_ms(Instant now, bool more) const {
  if (more) return 0;
  // What is due waits with the rest; whoever ends the wait wakes the inbox.
  if (disturbed_) return 60'000;
  Instant next = now + std::chrono::seconds(60);
  const auto& reconciler = parts_.reconciler;
  if (!options_.once && reconciler.synced()) next = std::min(next, next_audit_);
  if (!options_.once && reconciler.draining()) next = std::min(next, next_drain_poll_);
  if (const auto retry = reconciler.next_retry()) next = std::min(next, *retry);
  return static_cast<int>(std::max<std::int64_t>(std::chrono::ceil<milliseconds>(next - now).count(), 0));
}

void Loop::report() {
  const auto& reconciler = parts_.reconciler;
  auto& metrics = parts_.metrics;
  const Tally& tally = reconciler.tally();
  for (std::size_t kind = 0; kind < tally.operations.size(); ++kind)
    for (std::size_t verb = 0; verb < 3; ++verb)
      for (std::size_t result = 0; result < 2; ++result) {
        const auto count = tally.operations[kind][verb][result] - reported_.operations[kind][verb][result];
        if (count > 0) metrics.operations(static_cast<ObjectKind>(kind), static_cast<Verb>(verb), result == 0, count);
      }
  for (auto calls = reported_.calls; calls < tally.calls; ++calls) metrics.netlink_batch();
  reported_ = tally;

  const auto& counters = reconciler.counters();
  metrics.drift_repaired(ObjectKind::virtual_server, counters.drift_servers - reported_counters_.drift_servers);
  metrics.drift_repaired(ObjectKind::address, counters.drift_addresses - reported_counters_.drift_addresses);
  metrics.drift_repaired(ObjectKind::set_entry, counters.drift_entries - reported_counters_.drift_entries);
  metrics.drift_repaired(ObjectKind::route, counters.drift_routes - reported_counters_.drift_routes);
  for (auto retries = reported_counters_.retries; retries < counters.retries; ++retries) metrics.retry();
  for (auto audits = reported_counters_.audits; audits < counters.audits; ++audits) metrics.audit_finished();
  reported_counters_ = counters;
  metrics.set_dirty_objects(reconciler.retries().entries().size());
  metrics.set_conflicts(reconciler.ledger().conflict_count());
  Marks::PerFamily unmarked{};
  for (const auto& [service, ports] : reconciler.marks().refused())
    for (const auto family : families)
      unmarked[static_cast<std::size_t>(family)] += ports[static_cast<std::size_t>(family)];
  for (const auto family : families) metrics.set_unmarked_ports(family, unmarked[static_cast<std::size_t>(family)]);
  metrics.set_draining_servers(reconciler.ledger().draining().size());
  const auto changes = reconciler.cluster().changes();
  metrics.set_changes_pending(changes.services, changes.slices);
}

void Loop::report_watches(Instant now) {
  if (now < next_watch_report_) return;
  next_watch_report_ = now + std::chrono::seconds(1);
  constexpr std::array<std::pair<std::string_view, Kind>, 3> kinds{
      {{"services", Kind::service}, {"endpointslices", Kind::endpoint_slice}, {"nodes", Kind::node}}};
  for (const auto& status : parts_.watches())
    for (const auto& [resource, kind] : kinds)
      if (status.resource == resource) {
        parts_.metrics.set_watch_up(kind, status.connected);
        for (auto& reported = reported_watches_[status.resource]; reported < status.watches; ++reported)
          parts_.metrics.watch_restart(kind);
      }
}

}  // namespace ipvsd
