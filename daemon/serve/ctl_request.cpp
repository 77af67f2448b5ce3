#include "daemon/serve/ctl_request.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace ipvsd {
namespace {

constexpr std::string_view accepted = "expected \"GET /PATH HTTP/1.1\"";

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return {};
      unsigned value = 0;
      const char* digits = text.data() + i + 1;
      const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
      if (error != std::errc{} || end != digits + 2) return {};
      c = static_cast<char>(value);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return {};
    decoded += c;
  }
  return decoded;
}

std::string_view take_until(std::string_view& rest, char separator) {
  const auto piece = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), piece.size() + 1));
  return piece;
}

}  // namespace

Result<CtlRequest> parse_ctl_request(std::string_view head) {
  if (head.size() > ctl_request_limit) return fail(Errc::malformed, "the request is too long");
  auto line = head.substr(0, head.find("\r\n"));
  if (line.size() == head.size()) return fail(Errc::malformed, std::string(accepted));
  if (take_until(line, ' ') != "GET") return fail(Errc::malformed, "only GET is answered here");
  auto target = take_until(line, ' ');
  if (!target.starts_with('/') || !line.starts_with("HTTP/1.")) return fail(Errc::malformed, std::string(accepted));

  CtlRequest request;
  const auto path = percent_decoded(take_until(target, '?'));
  if (!path) return fail(Errc::malformed, "the path is not encoded as a URL's");
  request.path = *path;
  while (!target.empty()) {
    auto value = take_until(target, '&');
    const auto name = percent_decoded(take_until(value, '='));
    const auto decoded = percent_decoded(value);
    if (!name || !decoded) return fail(Errc::malformed, "the query is not encoded as a URL's");
    request.query[*name] = *decoded;
  }
  return request;
}

std::string ctl_answer_head(int status) {
  const auto reason = status == 200   ? "OK"
                      : status == 400 ? "Bad Request"
                      : status == 403 ? "Forbidden"
                      : status == 404 ? "Not Found"
                                      : "Service Unavailable";
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
      status, reason);
}

}  // namespace ipvsd
