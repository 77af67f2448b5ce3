// What the Services together have on this node: the counts for health checks, the Services in want of a local endpoint,
// those with endpoints of a wrong family. Kept Service by Service, so that a change costs one Service. Pure; one
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reconcile/desired.hpp"

namespace ipvsd {

// What a load balancer asks the node about a Service (spec.healthCheckNodePort).
struct HealthCheck {
  std::string uid;  // of the Service
  Port port;
  std::array<std::optional<std::uint32_t>, 2> local_endpoints{};  // by Family; empty: not a family of the Service
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct HealthCheckChange {
  ObjectKey service;
  std::optional<HealthCheck> check;  // empty: none any more
};

struct WrongFamily {
  ObjectKey service;
  std::string uid;
  IpAddress address;
};

class LocalSummary {
 public:
  void put(const Service& service, const LocalEndpoints& local);
  void remove(const ObjectKey& service);

  // Services whose internal or external traffic policy is Local and that have endpoints, but none here.
  struct Without {
    std::size_t internal = 0;
    std::size_t external = 0;
  };
  [[nodiscard]] Without without(Family family) const { return without_[static_cast<std::size_t>(family)]; }
  // Those that differ since the last call, removals first: a port may pass from one Service to another.
  [[nodiscard]] std::vector<HealthCheckChange> take_changes();
  // Services that have come to have endpoints of a wrong family since the last call.
  [[nodiscard]] std::vector<WrongFamily> take_wrong_families() { return std::exchange(wrong_families_, {}); }

 private:
  struct Held {
    LocalEndpoints local;
    std::optional<HealthCheck> check;
  };
  void count(const LocalEndpoints& local, bool add);

  std::unordered_map<ObjectKey, Held> services_;  // only those that have something to say
  std::array<Without, 2> without_{};
  std::unordered_map<ObjectKey, std::optional<HealthCheck>> before_;  // of those that changed, as last taken
  std::vector<WrongFamily> wrong_families_;
};

}  // namespace ipvsd
