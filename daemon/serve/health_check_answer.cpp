#include "daemon/serve/health_check_answer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "daemon/config/fields.hpp"

namespace ipvsd {

std::string health_check_body(const HealthCheckState& state) {
  return fmt::format(
      "{{\n\t\"service\": {{\n\t\t\"namespace\": {},\n\t\t\"name\": {}\n\t}},\n\t\"localEndpoints\": {},\n"
      "\t\"serviceProxyHealthy\": {}\n}}",
      json_text(state.service.ns), json_text(state.service.name), state.local_endpoints, state.proxy_healthy);
}

std::string health_check_answer(const HealthCheckState& state, std::chrono::system_clock::time_point now, bool head) {
  const auto body = health_check_body(state);
  // "Connection: close" is not kube-proxy's: it tells a client that would ask again on this connection not to.
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
      "X-Load-Balancing-Endpoint-Weight: {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      state.ok() ? "200 OK" : "503 Service Unavailable", state.local_endpoints,
      fmt::gmtime(std::chrono::system_clock::to_time_t(now)), body.size(), head ? "" : body);
}

}  // namespace ipvsd
