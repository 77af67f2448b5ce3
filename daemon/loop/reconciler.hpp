// The heart of the loop without its clock, threads and descriptors: events and notifications go in, the kernel is made
// to follow. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "daemon/loop/auditor.hpp"
#include "daemon/loop/executor.hpp"
#include "reconcile/cluster_state.hpp"
#include "reconcile/local_summary.hpp"
#include "reconcile/marks.hpp"

namespace ipvsd {

// What is to be said about a Service, to those who own it.
struct ServiceNotice {
  enum class Kind { conflict, wrong_family };
  Kind kind;
  ObjectKey service;
  std::string uid;
  std::string text;
};

class Reconciler {
 public:
  using Log = std::function<void(const std::string&)>;
  // `primary`: the configured bind address, which replaces the Node's own addresses. `services_per_step`: how many are
  // computed, and written at most, before the loop looks at its other inputs again.
  Reconciler(Kernel& kernel, Policy policy, std::optional<IpAddress> primary, std::uint32_t seed, Log warn,
             std::size_t services_per_step = 1024, std::size_t object_limit = default_object_limit);

  // Prepares the kernel and takes over what is there. Nothing is changed yet but for kube-ipvs0 and the sets existing.
  [[nodiscard]] Result<void> start();

  // The kind of an object that had no room (ClusterState::LeftOut), if the event brought one.
  std::optional<Kind> apply(ClusterEvent event);
  void notice(const Notification& notification);

  // Does a bounded piece of what is to be done; returns whether more waits. Writes nothing before the first complete
  // view of the API.
  bool step(Instant now);
  // Removes drained destinations of the next `limit` virtual servers; returns whether all have had their turn.
  bool poll_drains(Instant now, std::size_t limit);
  // Auditor::look().
  bool audit(std::size_t servers, std::size_t sets = 1);

  // The same for everything at once, addresses included: after somebody else has written here.
  void look_again();
  // The frontends whose flows have to be looked at now that what they rely on is written, and where these may lead; at
  // the first sync all of them, since nobody knows what happened before. Empties the list.
  [[nodiscard]] std::vector<FrontendFlows> take_unsettled_flows();

  // The first complete view of the API is in the kernel, and what it did not mention is gone.
  [[nodiscard]] bool synced() const { return first_sync_done_; }
  [[nodiscard]] bool idle() const;
  [[nodiscard]] std::optional<Instant> next_retry() const;
  [[nodiscard]] bool draining() const { return !ledger_.draining().empty(); }

  // --- what others are told; each taken once ---
  [[nodiscard]] std::vector<HealthCheckChange> take_health_checks() { return local_.take_changes(); }
  [[nodiscard]] const ListenAddresses& listen_addresses() const { return listen_; }
  [[nodiscard]] std::vector<ServiceNotice> take_notices() { return std::exchange(notices_, {}); }
  // Changes of slices that are in the kernel now, by the time at which they began.
  [[nodiscard]] std::vector<ClusterState::Trigger> take_written() { return std::exchange(written_, {}); }
  void note_changes_since(ClusterState::TriggerTime since) { cluster_.note_changes_since(since); }
  void forget_changes() { cluster_.forget_changes(); }
  [[nodiscard]] const LocalSummary& local() const { return local_; }

  struct Counters {
    std::uint64_t drift_servers = 0;
    std::uint64_t drift_addresses = 0;
    std::uint64_t drift_entries = 0;
    std::uint64_t drift_routes = 0;
    std::uint64_t retries = 0;
    std::uint64_t audits = 0;
    std::uint64_t recomputed = 0;  // Services
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const Tally& tally() const { return executor_.tally(); }
  [[nodiscard]] const Retries& retries() const { return retries_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] const Marks& marks() const { return marks_; }
  [[nodiscard]] const ClusterState& cluster() const { return cluster_; }

 private:
  // The kernel is to be prepared or listed (again), at next_prepare_ at the earliest.
  [[nodiscard]] bool must_look() const { return unprepared_ || addresses_stale_ || routes_stale_; }
  [[nodiscard]] bool at_first_look() const { return !ordered_ || uncomputed_ > 0; }
  [[nodiscard]] Result<void> observe_addresses();
  void prepare_again(Instant now);
  void refresh_view(Instant now);
  void observe_routes(Instant now);
  void recompute(const ObjectKey& service);
  // The next `services`; false when none is left.
  bool recompute_touched(std::size_t services);
  void put_off_pieces();
  void take_up_pieces(Instant now);
  [[nodiscard]] std::optional<ObservedVirtualServer> look_at(const VirtualServerKey& key);
  void report_drift(Instant now);
  void report_conflicts();
  void report_wrong_families();
  void report_unmarked();
  void note_written();

  Kernel& kernel_;
  Policy policy_;
  std::optional<IpAddress> primary_;
  Log warn_;
  std::size_t services_per_step_;
  ClusterState cluster_;
  Ledger ledger_;
  Marks marks_;
  Retries retries_;
  Executor executor_;
  Auditor auditor_;
  Plan plan_;  // of the last step; kept for its room

  std::set<LinkAddress> addresses_;  // of all links but kube-ipvs0
  NodeView view_;
  ListenAddresses listen_;
  LocalSummary local_;
  std::vector<ServiceNotice> notices_;
  std::map<ObjectKey, std::vector<ClusterState::Trigger>> unwritten_;  // by Service
  std::vector<ClusterState::Trigger> written_;
  bool view_stale_ = true;
  bool addresses_stale_ = false;
  bool routes_stale_ = false;
  bool unprepared_ = false;  // kube-ipvs0 or a set is gone
  Instant next_prepare_{};
  std::string prepare_error_;
  bool ordered_ = false;        // the first look at all Services has begun
  std::size_t uncomputed_ = 0;  // and so many are left of it
  std::size_t pieces_ = 0;      // of what it put off, taken up by the last step,
  Instant took_up_{};           // which began at
  bool first_sync_done_ = false;
  bool pruning_ = false;

  std::unordered_set<VirtualServerKey> unsettled_;  // frontends whose flows have to be looked at
  std::vector<VirtualServerKey> drain_queue_;       // still to be looked at in this round
  Counters counters_;
  std::uint64_t told_drift_ = 0;  // of those in counters_
  Instant next_drift_report_{};
  Instant next_anew_report_{};
};

}  // namespace ipvsd
