// The two servers of kube-proxy: health (healthzBindAddress) and metrics (metricsBindAddress). Paths, statuses, headers
// and bodies are kube-proxy's, for load balancers, probes and scripts that ask them.
#pragma once

#include "daemon/serve/health.hpp"
#include "daemon/serve/listener.hpp"
#include "daemon/serve/metrics.hpp"

namespace ipvsd {

// /healthz and /livez, 200 or 503. `health`, `metrics` and `shortage` outlive it. bind(), start(), stop() as of
// Listener.
class HealthServer {
 public:
  HealthServer(SocketAddress address, const HealthState& health, Metrics& metrics, Shortage& shortage);
  [[nodiscard]] Result<void> bind() { return listener_.bind(); }
  [[nodiscard]] Result<void> start() { return listener_.start(); }
  void stop() { listener_.stop(); }
  [[nodiscard]] Port port() const { return listener_.port(); }

 private:
  Listener listener_;
};

// /metrics, /healthz (always "ok": that the process answers), /proxyMode, /configz. `metrics` and `shortage`
// outlive it; `config_json` is what config_json() gave.
class MetricsServer {
 public:
  MetricsServer(SocketAddress address, const Metrics& metrics, const std::string& config_json, Shortage& shortage);
  [[nodiscard]] Result<void> bind() { return listener_.bind(); }
  [[nodiscard]] Result<void> start() { return listener_.start(); }
  void stop() { listener_.stop(); }
  [[nodiscard]] Port port() const { return listener_.port(); }

 private:
  Listener listener_;
};

}  // namespace ipvsd
