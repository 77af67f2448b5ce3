// kube-ipvsctl ui: one page over HTTP, for people who would rather look. It serves what the functions it is given say,
// and only reads: no request changes anything.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "model/result.hpp"

namespace ipvsd::ctl {

// Each returns JSON; called from the server's threads, one at a time.
struct UiSource {
  std::function<Result<std::string>()> services;                             // as top --once -o json
  std::function<Result<std::string>(const std::string& service)> endpoints;  // the same of one Service, with endpoints
  std::function<Result<std::string>()> status;                               // /v1/status of the daemon
};

struct UiPlace {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const UiPlace&, const UiPlace&) = default;
};
// "127.0.0.1:8080", "[::1]:8080". Error: malformed.
[[nodiscard]] Result<UiPlace> parse_place(const std::string& text);
[[nodiscard]] bool is_loopback(const UiPlace& place);

class UiServer {
 public:
  // With a token, every request but that of the page itself must carry it ("Authorization: Bearer TOKEN"). Without one,
  // requests must name a loopback host, so that no other site's page reaches us through the browser (DNS rebinding).
  UiServer(UiSource source, std::string token);
  ~UiServer();

  // The port that was bound; `place.port` 0 takes any. Error: busy, denied, ..., with what to do.
  [[nodiscard]] Result<std::uint16_t> bind(const UiPlace& place);
  // Serves until stop() is called from another thread.
  void run();
  void stop();

 private:
  struct Server;
  std::unique_ptr<Server> server_;
};

// 128 random bits as text.
[[nodiscard]] Result<std::string> make_token();

// Whether an HTTP Host header names this very machine: "localhost:8080", "127.0.0.1", "[::1]:8080". Pure.
[[nodiscard]] bool names_loopback(std::string_view host_header);

}  // namespace ipvsd::ctl
