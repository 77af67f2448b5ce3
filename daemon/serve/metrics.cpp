#include "daemon/serve/metrics.hpp"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ipvsd {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

// 1 ms * 2^k, up to 16.384 s.
Histogram::BucketBoundaries sync_buckets() {
  Histogram::BucketBoundaries buckets;
  for (int k = 0; k <= 14; ++k) buckets.push_back(0.001 * static_cast<double>(1 << k));
  return buckets;
}

// component-base/metrics MergeBuckets as kube-proxy calls it; its first bucket is an artefact that dashboards know.
Histogram::BucketBoundaries programming_buckets() {
  Histogram::BucketBoundaries buckets{0, 0.25, 0.5};
  for (int s = 1; s < 60; ++s) buckets.push_back(s);
  for (int s = 60; s < 120; s += 5) buckets.push_back(s);
  for (int s = 120; s <= 300; s += 30) buckets.push_back(s);
  return buckets;
}

// client-go's.
const Histogram::BucketBoundaries rest_client_buckets{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};

std::string label(Family family) { return std::string(to_string(family)); }
std::string label(bool ok) { return ok ? "ok" : "error"; }
constexpr std::array<const char*, target_kinds> object_labels{"virtual_server", "destination", "address", "set_entry",
                                                              "route"};
constexpr std::array<const char*, 3> verb_labels{"add", "set", "remove"};
constexpr std::array<const char*, 3> event_results{"sent", "refused", "dropped"};
constexpr std::array<const char*, 3> resource_labels{"services", "endpointslices", "nodes"};

template <class Enum>
std::size_t index(Enum value) {
  return static_cast<std::size_t>(value);
}
double number(std::size_t value) { return static_cast<double>(value); }
double seconds_since_epoch(Metrics::WallTime at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

// Since the epoch: /proc/self/stat has it in clock ticks since boot (its 22nd field), /proc/stat the boot.
double start_time() {
  std::ifstream self("/proc/self/stat");
  std::string text;
  std::getline(self, text);
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = 0;
  fields >> ticks;
  std::ifstream stat("/proc/stat");
  for (std::string name; stat >> name; std::getline(stat, skipped)) {
    double boot = 0;
    if (name == "btime" && stat >> boot) return boot + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  return 0;
}

}  // namespace

ObjectKind object_kind(const Target& target) { return static_cast<ObjectKind>(target.index()); }

struct Metrics::Series {
  explicit Series(std::string_view version);

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {}) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
  }
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {}) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
  }
  Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels,
                       const Histogram::BucketBoundaries& buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
  }
  void register_kube_proxy();
  void register_ours(std::string_view version);
  void register_process();
  void refresh_process();

  prometheus::Registry registry;

  struct PerFamily {
    Histogram* sync_duration;
    Histogram* programming_duration;
    Histogram* conntrack_duration;
    Counter* conntrack_deleted;
    Gauge* synced;
    Gauge* queued;
    Counter* restore_failures;
    Gauge* no_local_internal;
    Gauge* no_local_external;
    std::array<Counter*, 2> rules_writes;  // by ok
    Counter* foreign_marks;
    Gauge* unmarked;
  };
  struct PerResource {
    Counter* events;
    Counter* lists;
    Counter* restarts;
    Counter* rejected;
    Gauge* up = nullptr;  // only once something is known: without an API server there is no watch
  };
  std::array<PerFamily, families.size()> per_family{};
  std::array<PerResource, resource_labels.size()> per_resource{};
  std::array<std::array<std::array<Counter*, 2>, verb_labels.size()>, object_labels.size()> operations{};
  std::array<Counter*, object_labels.size()> drift{};
  std::array<Counter*, 2> healthz{};
  std::array<Counter*, 2> livez{};
  Gauge* endpoint_pending = nullptr;
  Counter* endpoint_changes = nullptr;
  Gauge* service_pending = nullptr;
  Counter* service_changes = nullptr;
  Counter* batches = nullptr;
  Gauge* dirty = nullptr;
  Counter* retries = nullptr;
  Gauge* conflicts = nullptr;
  Gauge* draining = nullptr;
  Counter* audits = nullptr;
  Gauge* health_checks = nullptr;
  Gauge* failing_health_checks = nullptr;
  std::array<Counter*, 2> health_check_answers{};  // by ok
  std::array<Counter*, event_results.size()> events{};
  Gauge* other_proxy = nullptr;
  Counter* accept_failures = nullptr;
  Gauge* resident = nullptr;
  Gauge* virtual_memory = nullptr;
  Gauge* open_fds = nullptr;
  Gauge* max_fds = nullptr;
  Counter* cpu = nullptr;
};

Metrics::Series::Series(std::string_view version) {
  register_kube_proxy();
  register_ours(version);
  register_process();
}

// As Go's collector names them.
void Metrics::Series::register_process() {
  resident = &gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  virtual_memory = &gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
  open_fds = &gauge("process_open_fds", "Number of open file descriptors.");
  max_fds = &gauge("process_max_fds", "Maximum number of open file descriptors.");
  cpu = &counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
  rlimit limit{};
  auto& memory_limit =
      gauge("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.");
  if (::getrlimit(RLIMIT_AS, &limit) == 0) memory_limit.Set(static_cast<double>(limit.rlim_cur));
  gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.").Set(start_time());
}

void Metrics::Series::register_kube_proxy() {
  for (const auto family : families) {
    auto& own = per_family[index(family)];
    const Labels labels{{"ip_family", label(family)}};
    own.sync_duration = &histogram("kubeproxy_sync_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds",
                                   labels, sync_buckets());
    own.programming_duration =
        &histogram("kubeproxy_network_programming_duration_seconds",
                   "In Cluster Network Programming Latency in seconds", labels, programming_buckets());
    own.conntrack_duration = &histogram("kubeproxy_conntrack_reconciler_sync_duration_seconds",
                                        "ReconcileConntrackFlowsLatency latency in seconds", labels, sync_buckets());
    own.conntrack_deleted = &counter("kubeproxy_conntrack_reconciler_deleted_entries_total",
                                     "Cumulative conntrack flows deleted by conntrack reconciler", labels);
    own.synced = &gauge("kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                        "The last time proxy rules were successfully synced", labels);
    own.queued = &gauge("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
                        "The last time a sync of proxy rules was queued", labels);
    own.restore_failures = &counter("kubeproxy_sync_proxy_rules_iptables_restore_failures_total",
                                    "Cumulative proxy iptables restore failures", labels);
    const auto no_local = [&](const char* policy) {
      return &gauge("kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                    "Number of services with a Local traffic policy and no endpoints",
                    {{"ip_family", label(family)}, {"traffic_policy", policy}});
    };
    own.no_local_internal = no_local("internal");
    own.no_local_external = no_local("external");
  }
  endpoint_pending =
      &gauge("kubeproxy_sync_proxy_rules_endpoint_changes_pending", "Pending proxy rules Endpoint changes");
  endpoint_changes =
      &counter("kubeproxy_sync_proxy_rules_endpoint_changes_total", "Cumulative proxy rules Endpoint changes");
  service_pending = &gauge("kubeproxy_sync_proxy_rules_service_changes_pending", "Pending proxy rules Service changes");
  service_changes =
      &counter("kubeproxy_sync_proxy_rules_service_changes_total", "Cumulative proxy rules Service changes");
  for (const bool ok : {false, true}) {
    const Labels code{{"code", ok ? "200" : "503"}};
    healthz[ok] = &counter("kubeproxy_proxy_healthz_total", "Cumulative proxy healthz HTTP status", code);
    livez[ok] = &counter("kubeproxy_proxy_livez_total", "Cumulative proxy livez HTTP status", code);
  }
}

void Metrics::Series::register_ours(std::string_view version) {
  for (std::size_t object = 0; object < object_labels.size(); ++object) {
    for (std::size_t verb = 0; verb < verb_labels.size(); ++verb)
      for (const bool ok : {false, true})
        operations[object][verb][ok] =
            &counter("kube_ipvsd_operations_total", "Operations on kernel objects",
                     {{"object", object_labels[object]}, {"verb", verb_labels[verb]}, {"result", label(ok)}});
    drift[object] =
        &counter("kube_ipvsd_drift_repaired_total", "Kernel objects found changed by somebody else and repaired",
                 {{"object", object_labels[object]}});
  }
  for (const auto family : families) {
    auto& own = per_family[index(family)];
    for (const bool ok : {false, true})
      own.rules_writes[ok] = &counter("kube_ipvsd_rules_writes_total", "Writes of the constant iptables rules",
                                      {{"family", label(family)}, {"result", label(ok)}});
    own.foreign_marks =
        &counter("kube_ipvsd_foreign_mark_packets_total",
                 "Packets from outside that bear foreign mark bits, and so met the ordinary virtual server",
                 {{"family", label(family)}});
    own.unmarked = &gauge("kube_ipvsd_unmarked_service_ports",
                          "Service ports of externalTrafficPolicy Local for which there was no mark left",
                          {{"family", label(family)}});
  }
  for (std::size_t i = 0; i < resource_labels.size(); ++i) {
    const Labels labels{{"resource", resource_labels[i]}};
    per_resource[i].events = &counter("kube_ipvsd_watch_events_total", "Events received", labels);
    per_resource[i].lists = &counter("kube_ipvsd_watch_lists_total", "Complete lists read", labels);
    per_resource[i].restarts = &counter("kube_ipvsd_watch_restarts_total", "Watches started anew", labels);
    per_resource[i].rejected =
        &counter("kube_ipvsd_rejected_objects_total", "Objects that could not be read, or had no room", labels);
  }
  batches = &counter("kube_ipvsd_netlink_batches_total", "Batches of messages sent to the kernel");
  dirty = &gauge("kube_ipvsd_dirty_objects", "Objects whose desired state is not in the kernel yet");
  retries = &counter("kube_ipvsd_retries_total", "Objects tried again after a failure");
  conflicts = &gauge("kube_ipvsd_conflicts", "Frontends that more than one Service claims");
  draining = &gauge("kube_ipvsd_draining_virtual_servers",
                    "Virtual servers with destinations that only finish their connections");
  accept_failures =
      &counter("kube_ipvsd_accept_failures_total",
               "Looks at a queue of connections that found no descriptor, or no memory, for the next one");
  other_proxy = &gauge("kube_ipvsd_other_proxy", "1 while another proxy lives on this node and nothing is written");
  audits = &counter("kube_ipvsd_audits_total", "Finished checking passes over all of the kernel's state");
  health_checks = &gauge("kube_ipvsd_health_check_services", "Services whose healthCheckNodePort is answered here");
  failing_health_checks =
      &gauge("kube_ipvsd_health_check_services_failing", "Services whose healthCheckNodePort cannot be listened on");
  for (const bool ok : {false, true})
    health_check_answers[ok] = &counter("kube_ipvsd_health_check_answers_total", "Answers on healthCheckNodePorts",
                                        {{"code", ok ? "200" : "503"}});
  for (std::size_t i = 0; i < event_results.size(); ++i)
    events[i] = &counter("kube_ipvsd_events_total", "Events for the API server", {{"result", event_results[i]}});
  gauge("kube_ipvsd_build_info", "Always 1; the version is a label", {{"version", std::string(version)}}).Set(1);
}

void Metrics::Series::refresh_process() {
  // statm: total and resident pages.
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t pages = 0;
  const auto page_size = static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (statm >> total >> pages) {
    resident->Set(static_cast<double>(pages) * page_size);
    virtual_memory->Set(static_cast<double>(total) * page_size);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) max_fds->Set(static_cast<double>(limit.rlim_cur));
  std::error_code error;
  std::size_t fds = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error))
    ++fds;
  // One of them is the directory itself.
  if (fds > 0) open_fds->Set(number(fds - 1));
  timespec time{};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0)
    cpu->Increment(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9 - cpu->Value());
}

Metrics::Metrics(std::string_view version) : series_(std::make_unique<Series>(version)) {}
Metrics::~Metrics() = default;

void Metrics::sync_duration(Family family, Seconds duration) {
  series_->per_family[index(family)].sync_duration->Observe(duration.count());
}
void Metrics::network_programming_duration(Family family, Seconds duration) {
  series_->per_family[index(family)].programming_duration->Observe(duration.count());
}
void Metrics::synced(Family family, WallTime at) {
  series_->per_family[index(family)].synced->Set(seconds_since_epoch(at));
}
void Metrics::queued(Family family, WallTime at) {
  series_->per_family[index(family)].queued->Set(seconds_since_epoch(at));
}
void Metrics::endpoint_change() { series_->endpoint_changes->Increment(); }
void Metrics::service_change() { series_->service_changes->Increment(); }
void Metrics::set_changes_pending(std::size_t services, std::size_t slices) {
  series_->service_pending->Set(number(services));
  series_->endpoint_pending->Set(number(slices));
}
void Metrics::restore_failed(Family family) { series_->per_family[index(family)].restore_failures->Increment(); }
void Metrics::set_no_local_endpoints(Family family, std::size_t internal, std::size_t external) {
  series_->per_family[index(family)].no_local_internal->Set(number(internal));
  series_->per_family[index(family)].no_local_external->Set(number(external));
}
void Metrics::healthz_served(bool ok) { series_->healthz[ok]->Increment(); }
void Metrics::livez_served(bool ok) { series_->livez[ok]->Increment(); }
void Metrics::conntrack_cleaned(Family family, Seconds duration, std::size_t entries) {
  series_->per_family[index(family)].conntrack_duration->Observe(duration.count());
  series_->per_family[index(family)].conntrack_deleted->Increment(number(entries));
}
void Metrics::api_request(const std::string& host, const std::string& method, int status, Seconds until_answer) {
  series_
      ->counter("rest_client_requests_total", "Number of HTTP requests, partitioned by status code, method, and host.",
                {{"code", status == 0 ? "<error>" : std::to_string(status)}, {"method", method}, {"host", host}})
      .Increment();
  series_
      ->histogram("rest_client_request_duration_seconds", "Request latency in seconds. Broken down by verb, and host.",
                  {{"verb", method}, {"host", host}}, rest_client_buckets)
      .Observe(until_answer.count());
}
void Metrics::operations(ObjectKind object, Verb verb, bool ok, std::size_t count) {
  series_->operations[index(object)][index(verb)][ok]->Increment(number(count));
}
void Metrics::netlink_batch() { series_->batches->Increment(); }
void Metrics::set_dirty_objects(std::size_t count) { series_->dirty->Set(number(count)); }
void Metrics::retry() { series_->retries->Increment(); }
void Metrics::drift_repaired(ObjectKind object, std::size_t count) {
  series_->drift[index(object)]->Increment(number(count));
}
void Metrics::watch_events(Kind kind, std::size_t count) {
  series_->per_resource[index(kind)].events->Increment(number(count));
}
void Metrics::watch_list(Kind kind) { series_->per_resource[index(kind)].lists->Increment(); }
void Metrics::watch_restart(Kind kind) { series_->per_resource[index(kind)].restarts->Increment(); }
void Metrics::set_watch_up(Kind kind, bool up) {
  auto& gauge = series_->per_resource[index(kind)].up;
  if (gauge == nullptr)
    gauge = &series_->gauge("kube_ipvsd_watch_up", "1 while the API server answers the watch, or the list before it",
                            {{"resource", resource_labels[index(kind)]}});
  gauge->Set(up ? 1 : 0);
}
void Metrics::rejected_object(Kind kind) { series_->per_resource[index(kind)].rejected->Increment(); }
void Metrics::set_conflicts(std::size_t count) { series_->conflicts->Set(number(count)); }
void Metrics::set_draining_servers(std::size_t count) { series_->draining->Set(number(count)); }
void Metrics::audit_finished() { series_->audits->Increment(); }
void Metrics::set_health_checks(std::size_t services, std::size_t failing) {
  series_->health_checks->Set(number(services));
  series_->failing_health_checks->Set(number(failing));
}
void Metrics::health_check_served(bool ok) { series_->health_check_answers[ok]->Increment(); }
void Metrics::event(EventResult result) { series_->events[index(result)]->Increment(); }
void Metrics::accept_failed() { series_->accept_failures->Increment(); }
void Metrics::set_other_proxy(bool lives) { series_->other_proxy->Set(lives ? 1 : 0); }
void Metrics::rules_written(Family family, bool ok) {
  series_->per_family[index(family)].rules_writes[ok]->Increment();
}
void Metrics::foreign_mark_packets(Family family, std::uint64_t count) {
  series_->per_family[index(family)].foreign_marks->Increment(number(count));
}
void Metrics::set_unmarked_ports(Family family, std::size_t count) {
  series_->per_family[index(family)].unmarked->Set(number(count));
}

std::string Metrics::text() const {
  series_->refresh_process();
  return prometheus::TextSerializer().Serialize(series_->registry.Collect());
}

}  // namespace ipvsd
