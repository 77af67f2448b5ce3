// The metrics: kube-proxy's names (pkg/proxy/metrics, in the form of Kubernetes 1.33: labelled by ip_family where that
// release labels them), so that dashboards and alerts go on working, and ours under kube_ipvsd_. Series of kube-proxy
// that never get a sample in ipvs mode (sync_full_*, sync_partial_*, iptables_total) are left out.
//
// Every series exists from the start, so recording is an atomic addition and a scrape sees zeroes rather than gaps;
// kube_ipvsd_watch_up alone begins with what is known first, and is absent without an API server.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "model/kernel.hpp"
#include "model/objects.hpp"

namespace ipvsd {

// What an operation is about; the order of the alternatives of Target.
enum class ObjectKind : std::uint8_t { virtual_server, destination, address, set_entry, route };
[[nodiscard]] ObjectKind object_kind(const Target& target);

class Metrics {
 public:
  explicit Metrics(std::string_view version);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  using Seconds = std::chrono::duration<double>;
  using WallTime = std::chrono::system_clock::time_point;

  // --- kubeproxy_ ---
  void sync_duration(Family family, Seconds duration);                 // one pass of writing, failed ones included
  void network_programming_duration(Family family, Seconds duration);  // trigger time annotation -> written
  void synced(Family family, WallTime at);
  void queued(Family family, WallTime at);
  void endpoint_change();  // every slice event
  void service_change();   // every Service event
  void set_changes_pending(std::size_t services, std::size_t slices);
  void restore_failed(Family family);                                                      // iptables-restore
  void set_no_local_endpoints(Family family, std::size_t internal, std::size_t external);  // Services in that plight
  void healthz_served(bool ok);
  void livez_served(bool ok);
  void conntrack_cleaned(Family family, Seconds duration, std::size_t entries);

  // --- rest_client_, as client-go names them; a series exists from its first request on ---
  void api_request(const std::string& host, const std::string& method, int status, Seconds until_answer);

  // --- kube_ipvsd_ ---
  void operations(ObjectKind object, Verb verb, bool ok, std::size_t count = 1);
  void netlink_batch();
  void set_dirty_objects(std::size_t count);
  void retry();
  void drift_repaired(ObjectKind object, std::size_t count = 1);
  void watch_events(Kind kind, std::size_t count = 1);
  void watch_list(Kind kind);
  void watch_restart(Kind kind);
  void set_watch_up(Kind kind, bool up);  // from the loop's thread alone
  void rejected_object(Kind kind);
  void set_conflicts(std::size_t count);
  void set_draining_servers(std::size_t count);
  void audit_finished();
  void set_other_proxy(bool lives);
  void accept_failed();  // for want of descriptors or memory
  void rules_written(Family family, bool ok);
  void foreign_mark_packets(Family family, std::uint64_t count);
  void set_unmarked_ports(Family family, std::size_t count);
  // Services with a healthCheckNodePort, and those of them whose port cannot be had.
  void set_health_checks(std::size_t services, std::size_t failing);
  void health_check_served(bool ok);
  // What became of an Event for the API server.
  enum class EventResult : std::uint8_t { sent, refused, dropped };
  void event(EventResult result);

  // The exposition format 0.0.4, with process_* as of now.
  [[nodiscard]] std::string text() const;

 private:
  struct Series;
  std::unique_ptr<Series> series_;
};

}  // namespace ipvsd
