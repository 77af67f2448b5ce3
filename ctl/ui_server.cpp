#include "ctl/ui_server.hpp"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <mutex>

#include "ctl/json_writer.hpp"
#include "ctl/ui_page.hpp"
#include "model/ip.hpp"

namespace ipvsd::ctl {
namespace {

// Nothing from elsewhere, and nobody frames us.
constexpr const char* policy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr std::size_t name_limit = 600;

// In time that does not depend on where they differ.
bool same(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

std::string error_json(const Error& error) {
  std::string text;
  JsonWriter(text).begin_object().member("error", error.context).end_object();
  return text;
}

void answer(httplib::Response& response, const Result<std::string>& result) {
  response.status = result ? 200 : result.error().code == Errc::not_found ? 404 : 503;
  response.set_content(result ? *result : error_json(result.error()), "application/json");
}

void refuse(httplib::Response& response, int status, std::string_view why) {
  response.status = status;
  std::string text;
  JsonWriter(text).begin_object().member("error", why).end_object();
  response.set_content(text, "application/json");
}

}  // namespace

struct UiServer::Server {
  UiSource source;
  std::string token;
  httplib::Server http;
  std::mutex one_at_a_time;

  [[nodiscard]] bool admitted(const httplib::Request& request, httplib::Response& response) const {
    if (token.empty()) {
      if (names_loopback(request.get_header_value("Host"))) return true;
      refuse(response, 403, "only for this machine: ask for localhost, or start with --listen and use its token");
      return false;
    }
    if (request.path == "/" || same(request.get_header_value("Authorization"), "Bearer " + token)) return true;
    refuse(response, 401, "the token is missing or wrong: open the address that kube-ipvsctl ui printed");
    return false;
  }
};

UiServer::UiServer(UiSource source, std::string token) : server_(std::make_unique<Server>()) {
  auto& server = *server_;
  server.source = std::move(source);
  server.token = std::move(token);
  auto& http = server.http;
  http.new_task_queue = [] { return new httplib::ThreadPool(4); };
  // Not httplib's SO_REUSEPORT: a second page would share the port with the first, and answer half of what it is asked.
  http.set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  http.set_payload_max_length(1024);
  http.set_read_timeout(5);
  http.set_write_timeout(10);
  http.set_default_headers({{"Content-Security-Policy", policy},
                            {"X-Content-Type-Options", "nosniff"},
                            {"Referrer-Policy", "no-referrer"},
                            {"Cache-Control", "no-store"}});
  http.set_pre_routing_handler([&server](const auto& request, auto& response) {
    if (request.method != "GET" && request.method != "HEAD") {
      refuse(response, 405, "read-only: GET is all there is");
      return httplib::Server::HandlerResponse::Handled;
    }
    return server.admitted(request, response) ? httplib::Server::HandlerResponse::Unhandled
                                              : httplib::Server::HandlerResponse::Handled;
  });
  http.Get("/", [](const auto&, auto& response) { response.set_content(ui_page, "text/html; charset=utf-8"); });
  http.Get("/api/services", [&server](const auto&, auto& response) {
    const std::lock_guard lock(server.one_at_a_time);
    answer(response, server.source.services());
  });
  http.Get("/api/endpoints", [&server](const auto& request, auto& response) {
    const auto name = request.get_param_value("service");
    if (name.empty() || name.size() > name_limit) return refuse(response, 400, "which Service? ?service=NAME");
    const std::lock_guard lock(server.one_at_a_time);
    answer(response, server.source.endpoints(name));
  });
  http.Get("/api/status", [&server](const auto&, auto& response) {
    const std::lock_guard lock(server.one_at_a_time);
    answer(response, server.source.status());
  });
}

UiServer::~UiServer() = default;

Result<std::uint16_t> UiServer::bind(const UiPlace& place) {
  errno = 0;
  if (place.port == 0) {
    const int port = server_->http.bind_to_any_port(place.host);
    if (port > 0) return static_cast<std::uint16_t>(port);
  } else if (server_->http.bind_to_port(place.host, place.port)) {
    return place.port;
  }
  return fail(errno == EACCES ? Errc::denied : Errc::busy,
              fmt::format("listen on {} port {}: {}; say another with --listen", place.host, place.port,
                          errno == 0 ? "not possible" : std::strerror(errno)));
}

void UiServer::run() { server_->http.listen_after_bind(); }
void UiServer::stop() { server_->http.stop(); }

Result<std::string> make_token() {
  std::array<std::uint8_t, 16> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return fail_errno(errno, "random bytes for a token");
  std::string text;
  for (const auto byte : random) text += fmt::format("{:02x}", byte);
  return text;
}

bool names_loopback(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1) == "[::1]";
  const auto name = host.substr(0, host.find(':'));
  if (name == "localhost") return true;
  const auto address = IpAddress::parse(name);
  return address && address->is_loopback();
}

Result<UiPlace> parse_place(const std::string& text) {
  const auto colon = text.rfind(':');
  const auto refused = [&] {
    return fail(Errc::malformed, fmt::format("\"{}\" is no place to listen; expected ADDRESS:PORT, as 127.0.0.1:8080 "
                                             "or [::1]:8080",
                                             text));
  };
  if (colon == std::string::npos) return refused();
  UiPlace place;
  auto host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = std::string_view(text).substr(colon + 1);
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), place.port);
  if (!address || ec != std::errc{} || end != port.data() + port.size()) return refused();
  place.host = address->to_string();
  return place;
}

bool is_loopback(const UiPlace& place) {
  const auto address = IpAddress::parse(place.host);
  return address && address->is_loopback();
}

}  // namespace ipvsd::ctl
