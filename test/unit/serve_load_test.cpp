// The servers under more clients than they have room for: a thousand that send a byte at a time, or nothing, or read
// nothing. Between their steps others are answered, and descriptors stay bounded.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>

#include "daemon/config/options.hpp"
#include "daemon/serve/health_check_server.hpp"
#include "daemon/serve/http_request.hpp"
#include "daemon/serve/server.hpp"
#include "os/fd.hpp"
#include "os/sockaddr.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;

namespace {

const IpAddress loopback = *IpAddress::parse("127.0.0.1");
constexpr std::size_t crowd_size = 1000;
const std::string probe = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

std::size_t descriptors() {
  const std::filesystem::directory_iterator begin("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator()));
}

void allow_descriptors() {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(limit.rlim_cur >= 3 * crowd_size);
}

// With ten seconds' patience.
Fd connect_to(Port port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  const timeval patience{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const auto to = to_sockaddr(loopback, port);
  return ::connect(fd.get(), to.get(), to.size) == 0 ? std::move(fd) : Fd();
}

std::string ask(Port port, const std::string& request) {
  const auto fd = connect_to(port);
  if (!fd) return "no connection";
  (void)::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  std::array<char, 4096> buffer{};
  for (ssize_t size = 0; (size = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;)
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  return answer;
}

// Clients that stay, and come back when they are sent away.
class Crowd {
 public:
  explicit Crowd(Port port, std::size_t size = crowd_size) : port_(port), members_(size) {}

  // Each sends the next byte of an endless request.
  void step() {
    for (auto& member : members_) {
      const char byte = "GET /livez HTTP/1.1\r\nA: "[std::min<std::size_t>(steps_, 22)];
      if (!member || ::send(member.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) member = connect_to(port_);
    }
    ++steps_;
  }
  // Each asks, and reads nothing.
  void ask_and_ignore(const std::string& request) {
    for (auto& member : members_) {
      member = connect_to(port_);
      (void)::send(member.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
  }
  [[nodiscard]] std::size_t connected() const {
    return static_cast<std::size_t>(
        std::count_if(members_.begin(), members_.end(), [](const Fd& fd) { return bool(fd); }));
  }

 private:
  Port port_;
  std::vector<Fd> members_;
  std::size_t steps_ = 0;
};

// What every server must do, with at most so many connections of its own.
void withstands(Port port, std::size_t limit) {
  allow_descriptors();
  const auto before = descriptors();
  Crowd crowd(port);
  for (int step = 0; step < 4; ++step) {
    crowd.step();
    CHECK_THAT(ask(port, probe), Catch::StartsWith("HTTP/1.1 200 OK\r\n"));
    CHECK(descriptors() <= before + crowd.connected() + limit);
  }
  Crowd deaf(port);
  deaf.ask_and_ignore("GET /metrics HTTP/1.1\r\n\r\n");
  CHECK_THAT(ask(port, probe), Catch::StartsWith("HTTP/1.1 200 OK\r\n"));
  CHECK(descriptors() <= before + crowd.connected() + deaf.connected() + limit);

  // One request a connection: what is sent behind it is not answered.
  const auto answers = ask(port, probe + probe + probe);
  CHECK(answers.find("HTTP/1.1 ") == answers.rfind("HTTP/1.1 "));
  // Longer than the limit: said so, as soon as it is known.
  const auto endless = "GET /livez HTTP/1.1\r\nA: " + std::string(request_limit, 'a');
  CHECK_THAT(ask(port, endless), Catch::StartsWith("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
  CHECK_THAT(ask(port, probe), Catch::StartsWith("HTTP/1.1 200 OK\r\n"));
}

}  // namespace

TEST_CASE("a thousand slow clients of the health server") {
  HealthState health(Moment::now());
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  HealthServer server({loopback, Port{}}, health, metrics, shortage);
  REQUIRE(server.bind());
  REQUIRE(server.start());
  withstands(server.port(), 256);
}

TEST_CASE("a thousand slow clients of the metrics server do not keep it from scrapes") {
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  MetricsServer server({loopback, Port{}}, metrics, configz_json(default_config()), shortage);
  REQUIRE(server.bind());
  REQUIRE(server.start());
  allow_descriptors();
  Crowd crowd(server.port());
  crowd.step();
  Crowd deaf(server.port(), 300);
  deaf.ask_and_ignore("GET /metrics HTTP/1.1\r\n\r\n");
  CHECK_THAT(ask(server.port(), "GET /metrics HTTP/1.1\r\n\r\n"), Catch::Contains("kube_ipvsd_build_info"));
}

TEST_CASE("a thousand slow clients of a Service's health check") {
  HealthState health(Moment::now());
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  HealthCheckServer server(health, metrics, shortage, [](const ObjectKey&, const std::string&, const std::string&) {});
  REQUIRE(server.start());
  // A port that nobody has at this moment.
  Port port;
  {
    Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    auto to = to_sockaddr(loopback, Port{});
    REQUIRE(::bind(fd.get(), to.get(), to.size) == 0);
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&to.storage), &to.size) == 0);
    port = Port{ntohs(reinterpret_cast<const sockaddr_in&>(to.storage).sin_port)};
  }
  const ObjectKey web{"default", "web"};
  server.publish({{web, HealthCheck{"uid", port, {1, std::nullopt}}}}, {{true, false}, {}});
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!ask(port, probe).starts_with("HTTP/1.1 200") && std::chrono::steady_clock::now() < deadline) {
  }
  withstands(port, 64);
}
