// The bytes of a Service's health check: what kube-proxy answers on healthCheckNodePort
// (pkg/proxy/healthcheck/service_health.go), whatever the path and the method. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "model/objects.hpp"

namespace ipvsd {

struct HealthCheckState {
  ObjectKey service;
  std::uint32_t local_endpoints = 0;
  bool proxy_healthy = true;  // as /livez
  [[nodiscard]] bool ok() const { return local_endpoints > 0 && proxy_healthy; }
};

// The whole answer, after which the connection ends. Without a body if `head` (the method HEAD).
[[nodiscard]] std::string health_check_answer(const HealthCheckState& state, std::chrono::system_clock::time_point now,
                                              bool head);
[[nodiscard]] std::string health_check_body(const HealthCheckState& state);

}  // namespace ipvsd
