#include "daemon/serve/health_check_answer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

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

RequestState request_state(std::string_view received) {
  const auto line_end = received.find('\n');
  if (line_end != std::string_view::npos) {
    auto line = received.substr(0, line_end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto version = line.rfind(' ');
    const bool spaces = version != std::string_view::npos && line.find(' ') < version && !line.starts_with(' ');
    if (!spaces || (line.substr(version + 1) != "HTTP/1.1" && line.substr(version + 1) != "HTTP/1.0"))
      return RequestState::bad;
  }
  const auto end = std::min(received.find("\r\n\r\n"), received.find("\n\n"));
  if (end < request_limit) return RequestState::complete;
  return received.size() >= request_limit ? RequestState::bad : RequestState::incomplete;
}

std::string bad_request_answer() {
  return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n"
         "Connection: close\r\n\r\nBad Request";
}

}  // namespace ipvsd
