// Whether this node's proxy keeps up, as kube-proxy answers it (pkg/proxy/healthcheck/proxier_health.go, KEP-3836):
// unhealthy while a family that has been written at least once has waited too long for a change to be written.
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "model/ip.hpp"

namespace ipvsd {

// One moment on both clocks: intervals are measured on the steady one, people read the other.
struct Moment {
  std::chrono::steady_clock::time_point steady{};
  std::chrono::system_clock::time_point wall{};
  // A little later, by one clock: a look at either may be a system call.
  [[nodiscard]] Moment at(std::chrono::steady_clock::time_point later) const {
    return {later, wall + std::chrono::duration_cast<std::chrono::system_clock::duration>(later - steady)};
  }
  [[nodiscard]] static Moment now() { return {std::chrono::steady_clock::now(), std::chrono::system_clock::now()}; }
};

struct HealthAnswer {
  bool healthy = true;   // /livez
  bool eligible = true;  // /healthz is healthy and eligible
  // Of the overdue family if unhealthy, else the newest of all; empty if nothing was ever written.
  std::optional<Moment> last_updated;
};

// Thread-safe.
class HealthState {
 public:
  // kube-proxy's timeout is twice iptables.syncPeriod. `started` is the origin of the "m=+" part of time texts.
  explicit HealthState(Moment started, std::chrono::milliseconds timeout = std::chrono::seconds(60))
      : started_(started), timeout_(timeout) {}

  // A change wants to be written; keeps the time of the oldest one.
  void queued(Family family, Moment now);
  // Everything queued for this family has been written. Also called once when the loop starts.
  void updated(Family family, Moment now);
  // Node.eligible of our Node object.
  void set_node_eligible(bool eligible);

  [[nodiscard]] HealthAnswer answer(Moment now) const;
  [[nodiscard]] Moment started() const { return started_; }

 private:
  struct PerFamily {
    std::optional<Moment> queued;
    std::optional<Moment> updated;
  };
  const Moment started_;
  const std::chrono::milliseconds timeout_;
  mutable std::mutex mutex_;
  std::array<PerFamily, families.size()> families_;
  bool eligible_ = true;
};

// The bodies of /healthz and /livez, byte for byte as kube-proxy spaces them.
[[nodiscard]] std::string healthz_body(const HealthAnswer& answer, Moment now, Moment started);
[[nodiscard]] std::string livez_body(const HealthAnswer& answer, Moment now, Moment started);

// Go's time.Time.String() in UTC: "2024-05-01 10:00:00.123456789 +0000 UTC m=+12.300000000"; an empty moment is Go's
// zero time, "0001-01-01 00:00:00 +0000 UTC".
[[nodiscard]] std::string go_time_text(const std::optional<Moment>& moment, Moment started);

}  // namespace ipvsd
