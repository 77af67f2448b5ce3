#include "daemon/serve/server.hpp"

#include <fmt/format.h>

namespace ipvsd {
namespace {

HttpAnswer health_answer(std::string_view path, const HealthState& health, Metrics& metrics) {
  const auto now = Moment::now();
  const auto answer = health.answer(now);
  const auto json = [](bool ok, std::string body) {
    return HttpAnswer{ok ? 200 : 503, "application/json", std::move(body)};
  };
  if (path == "/healthz") {
    const bool ok = answer.healthy && answer.eligible;
    metrics.healthz_served(ok);
    return json(ok, healthz_body(answer, now, health.started()));
  }
  if (path == "/livez") {
    metrics.livez_served(answer.healthy);
    return json(answer.healthy, livez_body(answer, now, health.started()));
  }
  return not_found_answer();
}

// What k8s.io/component-base says of the one check there is: that the process answers.
constexpr const char* slis =
    "# HELP kubernetes_healthcheck This metric records the result of a single healthcheck.\n"
    "# TYPE kubernetes_healthcheck gauge\n"
    "kubernetes_healthcheck{name=\"ping\",type=\"healthz\"} 1\n";

HttpAnswer metrics_answer(std::string_view path, bool verbose, const Metrics& metrics, const std::string& configz) {
  if (path == "/metrics/slis") return {200, "text/plain; version=0.0.4; charset=utf-8", slis};
  if (path == "/healthz" && verbose) return {200, "text/plain; charset=utf-8", "[+]ping ok\nhealthz check passed\n"};
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()};
  if (path == "/healthz" || path == "/healthz/ping") return {200, "text/plain; charset=utf-8", "ok"};
  if (path == "/proxyMode") return {200, "text/plain; charset=utf-8", "ipvs"};
  if (path == "/configz") return {200, "application/json", configz};
  return not_found_answer();
}

}  // namespace

HealthServer::HealthServer(SocketAddress address, const HealthState& health, Metrics& metrics, Shortage& shortage)
    : listener_(
          address, [&](std::string_view path, bool) { return health_answer(path, health, metrics); }, shortage) {}

MetricsServer::MetricsServer(SocketAddress address, const Metrics& metrics, const std::string& config_json,
                             Shortage& shortage)
    : listener_(
          address,
          [&metrics, configz = fmt::format(R"({{"kubeproxy.config.k8s.io":{}}})", config_json)](
              std::string_view path, bool verbose) { return metrics_answer(path, verbose, metrics, configz); },
          shortage) {}

}  // namespace ipvsd
