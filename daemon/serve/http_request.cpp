#include "daemon/serve/http_request.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ipvsd {
namespace {

std::string refusal(std::string_view status) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, status.size() - 4, status.substr(4));
}

}  // namespace

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
  return received.size() >= request_limit ? RequestState::too_long : RequestState::incomplete;
}

std::string bad_request_answer() { return refusal("400 Bad Request"); }

std::string too_long_answer() { return refusal("431 Request Header Fields Too Large"); }

}  // namespace ipvsd
