// The health checks of Services: bytes, counts, ports that come and go, clients that misbehave.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <cstring>

#include "daemon/serve/health_check_answer.hpp"
#include "daemon/serve/health_check_server.hpp"
#include "daemon/serve/http_request.hpp"
#include "os/fd.hpp"
#include "os/sockaddr.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;

namespace {

const IpAddress loopback = *IpAddress::parse("127.0.0.1");
const IpAddress loopback6 = *IpAddress::parse("::1");
const ObjectKey web{"default", "web"};

// A port that nobody has at this moment.
Port free_port() {
  Fd fd(::socket(AF_INET6, SOCK_STREAM, 0));
  auto any = to_sockaddr(IpAddress::any(Family::ipv6), Port{});
  REQUIRE(::bind(fd.get(), any.get(), any.size) == 0);
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&any.storage), &any.size) == 0);
  return Port{ntohs(reinterpret_cast<const sockaddr_in6&>(any.storage).sin6_port)};
}

Fd connect_to(const IpAddress& address, Port port) {
  Fd fd(::socket(to_af(address.family()), SOCK_STREAM, 0));
  const auto to = to_sockaddr(address, port);
  if (::connect(fd.get(), to.get(), to.size) != 0) return {};
  const timeval patience{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

std::string rest_of(const Fd& fd) {
  std::string answer;
  std::array<char, 4096> buffer{};
  for (ssize_t size = 0; (size = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;)
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  return answer;
}

std::string ask(const IpAddress& address, Port port, const std::string& request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n") {
  const auto fd = connect_to(address, port);
  if (!fd) return "refused";
  (void)::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  return rest_of(fd);
}

struct Fixture {
  HealthState health{Moment::now()};
  Metrics metrics{"test"};
  std::mutex mutex;
  std::vector<std::string> failures;
  Shortage shortage{metrics, [](const Error&) {}};
  HealthCheckServer server{health, metrics, shortage,
                           [this](const ObjectKey&, const std::string&, const std::string& why) {
                             const std::lock_guard lock(mutex);
                             failures.push_back(why);
                           }};
  Port port = free_port();
  ListenAddresses addresses{{true, true}, {}};

  Fixture() { REQUIRE(server.start()); }
  void publish(std::optional<std::uint32_t> ipv4, std::optional<std::uint32_t> ipv6) {
    server.publish({{web, HealthCheck{"uid", port, {ipv4, ipv6}}}}, addresses);
  }
  std::size_t failed() {
    const std::lock_guard lock(mutex);
    return failures.size();
  }
};

// Until the condition holds, at most ten seconds.
template <class Condition>
bool within(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition())
    if (std::chrono::steady_clock::now() > deadline) return false;
  return true;
}

bool answers(const IpAddress& address, Port port, const std::string& text) {
  return within([&] { return ask(address, port).find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("the body is kube-proxy's, byte for byte") {
  CHECK(health_check_body({{"default", "web"}, 2, true}) ==
        "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 2,\n"
        "\t\"serviceProxyHealthy\": true\n}");
  const auto answer =
      health_check_answer({{"a", "b"}, 0, true}, std::chrono::system_clock::time_point(1714557600s), false);
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                                       "X-Content-Type-Options: nosniff\r\nX-Load-Balancing-Endpoint-Weight: 0\r\n"
                                       "Date: Wed, 01 May 2024 10:00:00 GMT\r\nContent-Length: "));
  CHECK_THAT(health_check_answer({{"a", "b"}, 1, false}, {}, false), Catch::StartsWith("HTTP/1.1 503 "));
  CHECK_THAT(health_check_answer({{"a", "b"}, 1, true}, {}, true), Catch::EndsWith("\r\n\r\n"));
}

TEST_CASE("what counts as a request") {
  CHECK(request_state("GET / HTTP/1.1\r\nHost: x\r\n\r\n") == RequestState::complete);
  CHECK(request_state("GET / HTTP/1.0\n\n") == RequestState::complete);
  CHECK(request_state("POST /any/path?x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello") == RequestState::complete);
  CHECK(request_state("") == RequestState::incomplete);
  CHECK(request_state("GET / HTT") == RequestState::incomplete);
  CHECK(request_state("GET / HTTP/1.1\r\nHost: x\r\n") == RequestState::incomplete);
  for (const auto* text : {"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\r\n\r\n", " / HTTP/1.1\r\n\r\n",
                           "\x16\x03\x01\r\n\r\n", "GET HTTP/1.1\r\n\r\n"})
    CHECK(request_state(text) == RequestState::bad);
  CHECK(request_state(std::string(request_limit, 'a')) == RequestState::too_long);
  CHECK(request_state("GET / HTTP/1.1\r\n" + std::string(request_limit, 'a')) == RequestState::too_long);
}

TEST_CASE("each family answers with its own count, and follows it") {
  Fixture fixture;
  fixture.publish(2, 0);
  CHECK(answers(loopback, fixture.port, "HTTP/1.1 200 OK"));
  CHECK_THAT(ask(loopback, fixture.port),
             Catch::Contains("X-Load-Balancing-Endpoint-Weight: 2\r\n") && Catch::Contains("\"localEndpoints\": 2,"));
  CHECK_THAT(ask(loopback6, fixture.port),
             Catch::StartsWith("HTTP/1.1 503 Service Unavailable\r\n") && Catch::Contains("\"localEndpoints\": 0,"));
  for (const auto* method : {"POST", "DELETE", "OPTIONS"})
    CHECK_THAT(ask(loopback, fixture.port, std::string(method) + " /x HTTP/1.1\r\n\r\n"),
               Catch::StartsWith("HTTP/1.1 200 "));
  fixture.publish(0, 3);
  CHECK(answers(loopback, fixture.port, "HTTP/1.1 503"));
  CHECK_THAT(ask(loopback6, fixture.port), Catch::Contains("Weight: 3\r\n"));

  // Not healthy in the sense of /livez; that the node is to go does not count.
  fixture.health.set_node_eligible(false);
  CHECK_THAT(ask(loopback6, fixture.port), Catch::StartsWith("HTTP/1.1 200 "));
  auto past = Moment::now();
  past.steady -= 61s;
  fixture.health.updated(Family::ipv4, past);
  fixture.health.queued(Family::ipv4, past);
  CHECK_THAT(ask(loopback6, fixture.port),
             Catch::StartsWith("HTTP/1.1 503 ") && Catch::Contains("\"serviceProxyHealthy\": false"));
}

TEST_CASE("a family that the Service has not is not listened on; a Service that goes takes its port along") {
  Fixture fixture;
  fixture.publish(1, std::nullopt);
  CHECK(answers(loopback, fixture.port, "200 OK"));
  CHECK(ask(loopback6, fixture.port) == "refused");
  const Port old = fixture.port;
  fixture.port = free_port();
  fixture.publish(1, 1);
  CHECK(answers(loopback6, fixture.port, "200 OK"));
  CHECK(ask(loopback, old) == "refused");
  fixture.server.publish({{web, std::nullopt}}, fixture.addresses);
  CHECK(within([&] { return ask(loopback, fixture.port) == "refused"; }));
  CHECK_THAT(fixture.metrics.text(), Catch::Contains("kube_ipvsd_health_check_services 0\n"));
}

TEST_CASE("the addresses it listens on follow the node's") {
  Fixture fixture;
  const auto second = *IpAddress::parse("127.0.0.2");
  fixture.addresses = {{false, false}, {loopback}};
  fixture.publish(1, 1);
  CHECK(answers(loopback, fixture.port, "200 OK"));
  CHECK(ask(second, fixture.port) == "refused");
  CHECK(ask(loopback6, fixture.port) == "refused");
  fixture.server.publish({}, {{false, true}, {second}});
  CHECK(answers(second, fixture.port, "200 OK"));
  CHECK(ask(loopback, fixture.port) == "refused");
  CHECK_THAT(ask(loopback6, fixture.port), Catch::Contains("200 OK"));
}

TEST_CASE("a port that another has is told once, tried again, and had when it is free") {
  Fixture fixture;
  std::optional<Fd> taken(Fd(::socket(AF_INET, SOCK_STREAM, 0)));
  const auto to = to_sockaddr(loopback, fixture.port);
  REQUIRE(::bind(taken->get(), to.get(), to.size) == 0);
  REQUIRE(::listen(taken->get(), 1) == 0);
  fixture.addresses = {{false, true}, {loopback}};
  fixture.publish(1, 1);
  REQUIRE(within([&] { return fixture.failed() == 1; }));
  CHECK(answers(loopback6, fixture.port, "200 OK"));  // what can be had is had
  CHECK(within([&] {
    return fixture.metrics.text().find("kube_ipvsd_health_check_services_failing 1\n") != std::string::npos;
  }));
  CHECK_THAT(fixture.failures[0], Catch::StartsWith("health check of Service default/web: listen on 127.0.0.1:") &&
                                      Catch::Contains("another process, or Service, has this port"));
  fixture.publish(2, 1);
  CHECK(answers(loopback6, fixture.port, "200 OK"));
  taken.reset();
  CHECK(answers(loopback, fixture.port, "Weight: 2\r\n"));
  CHECK(fixture.failed() == 1);
}

TEST_CASE("two Services with one port: the first keeps it until it goes") {
  Fixture fixture;
  fixture.publish(1, 1);
  CHECK(answers(loopback, fixture.port, "200 OK"));
  const ObjectKey other{"default", "other"};
  fixture.server.publish({{other, HealthCheck{"uid2", fixture.port, {5, 5}}}}, fixture.addresses);
  REQUIRE(within([&] { return fixture.failed() == 1; }));
  CHECK_THAT(ask(loopback, fixture.port), Catch::Contains("Weight: 1\r\n"));
  fixture.server.publish({{web, std::nullopt}, {other, HealthCheck{"uid2", fixture.port, {6, 6}}}}, fixture.addresses);
  CHECK(answers(loopback, fixture.port, "Weight: 6\r\n"));
}

TEST_CASE("clients that say nothing, or nonsense, or too much, hold up nobody") {
  Fixture fixture;
  fixture.publish(1, 1);
  REQUIRE(answers(loopback, fixture.port, "200 OK"));
  std::vector<Fd> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(connect_to(loopback, fixture.port));
  CHECK_THAT(ask(loopback, fixture.port), Catch::StartsWith("HTTP/1.1 200 "));
  // The oldest made room.
  CHECK(rest_of(silent.front()).empty());
  CHECK_THAT(ask(loopback, fixture.port, "nonsense\r\n\r\n"), Catch::StartsWith("HTTP/1.1 400 "));
  // A body is neither read nor a reason to lose the answer.
  CHECK_THAT(ask(loopback, fixture.port, "POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + std::string(20000, 'x')),
             Catch::StartsWith("HTTP/1.1 200 "));
  const auto flood = connect_to(loopback, fixture.port);
  const std::string header = "A: " + std::string(1000, 'b') + "\r\n";
  int sent = 0;
  while (sent < 100'000 && ::send(flood.get(), header.data(), header.size(), MSG_NOSIGNAL) > 0) ++sent;
  CHECK(sent < 100'000);
  // Piece by piece is fine.
  const auto slow = connect_to(loopback, fixture.port);
  for (const char* piece : {"GET", " / HT", "TP/1.1\r\n", "\r", "\n"}) {
    REQUIRE(::send(slow.get(), piece, std::strlen(piece), MSG_NOSIGNAL) > 0);
    CHECK_THAT(ask(loopback6, fixture.port), Catch::StartsWith("HTTP/1.1 200 "));
  }
  CHECK_THAT(rest_of(slow), Catch::StartsWith("HTTP/1.1 200 "));
  // Silence ends at the deadline, without an answer.
  const auto mute = connect_to(loopback, fixture.port);
  CHECK(rest_of(mute).empty());
}

TEST_CASE("stop does not wait for clients") {
  Fixture fixture;
  fixture.publish(1, 1);
  REQUIRE(answers(loopback, fixture.port, "200 OK"));
  const auto silent = connect_to(loopback, fixture.port);
  fixture.server.stop();
  fixture.server.stop();
  fixture.publish(2, 2);
}
