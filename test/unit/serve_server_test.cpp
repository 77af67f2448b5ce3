#include <arpa/inet.h>
#include <httplib.h>
#include <catch2/catch.hpp>
#include <mutex>

#include "daemon/config/options.hpp"
#include "daemon/serve/other_proxy.hpp"
#include "daemon/serve/server.hpp"
#include "daemon/serve/start_retry.hpp"
#include "os/fd.hpp"
#include "test/unit/accept_faults.hpp"
#include "test/unit/no_descriptors.hpp"

using namespace ipvsd;
using namespace ipvsd::test;
using namespace std::chrono_literals;

namespace {

const SocketAddress ephemeral{*IpAddress::parse("127.0.0.1"), Port{0}};

Fd connect_to(Port port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port.number);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  return fd;
}

// Everything until the server closes.
std::string exchange(Port port, const std::string& request) {
  const auto fd = connect_to(port);
  REQUIRE(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t size = 0; (size = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(size));
  return answer;
}

struct HealthFixture {
  HealthState health{Moment::now()};
  Metrics metrics{"test"};
  Shortage shortage{metrics, [](const Error&) {}};
  HealthServer server{ephemeral, health, metrics, shortage};
  HealthFixture() {
    REQUIRE(server.bind());
    REQUIRE(server.start());
  }
};

}  // namespace

TEST_CASE("health answers have kube-proxy's headers") {
  HealthFixture fixture;
  auto answer = exchange(fixture.server.port(), "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 200 OK\r\nContent-Length: "));
  answer.erase(17, answer.find("\r\n", 17) + 2 - 17);
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Content-Type-Options: "
                                       "nosniff\r\n\r\n{\"lastUpdated\": \"20"));
  CHECK_THAT(answer, Catch::EndsWith(" UTC m=+0" + answer.substr(answer.rfind("m=+0") + 4)) &&
                         Catch::EndsWith("\", \"nodeEligible\": true}"));
}

TEST_CASE("health by method, path and state") {
  HealthFixture fixture;
  httplib::Client client("127.0.0.1", fixture.server.port().number);
  for (const auto* path : {"/healthz", "/livez"}) {
    CHECK(client.Get(path)->status == 200);
    CHECK(client.Post(path, "body", "text/plain")->status == 200);
    CHECK(client.Delete(path)->status == 200);
    CHECK(client.Head(path)->status == 200);
  }
  CHECK(client.Get("/")->status == 404);
  CHECK(client.Get("/")->body == "404 page not found\n");

  fixture.health.set_node_eligible(false);
  CHECK(client.Get("/healthz")->status == 503);
  CHECK(client.Get("/livez")->status == 200);

  auto past = Moment::now();
  past.steady -= 61s;
  fixture.health.updated(Family::ipv4, past);
  fixture.health.queued(Family::ipv4, past);
  CHECK(client.Get("/livez")->status == 503);
  CHECK_THAT(fixture.metrics.text(), Catch::Contains("kubeproxy_proxy_livez_total{code=\"503\"} 1\n") &&
                                         Catch::Contains("kubeproxy_proxy_healthz_total{code=\"200\"} 4\n"));
}

TEST_CASE("the metrics server") {
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  MetricsServer server(ephemeral, metrics, configz_json(default_config()), shortage);
  REQUIRE(server.bind());
  REQUIRE(server.start());
  httplib::Client client("127.0.0.1", server.port().number);
  const auto mode = client.Get("/proxyMode");
  CHECK(mode->body == "ipvs");
  CHECK(mode->get_header_value("Content-Type") == "text/plain; charset=utf-8");
  CHECK(mode->get_header_value("X-Content-Type-Options") == "nosniff");
  CHECK(client.Get("/healthz")->body == "ok");
  CHECK(client.Get("/healthz/ping?verbose")->body == "ok");
  CHECK(client.Get("/healthz?verbose")->body == "[+]ping ok\nhealthz check passed\n");
  CHECK_THAT(client.Get("/metrics/slis")->body,
             Catch::Contains("kubernetes_healthcheck{name=\"ping\",type=\"healthz\"} 1\n"));
  CHECK_THAT(client.Get("/metrics")->body, Catch::Contains("kube_ipvsd_build_info"));
  CHECK_THAT(client.Get("/configz")->body,
             Catch::StartsWith("{\"kubeproxy.config.k8s.io\":{\"Mode\":\"ipvs\",") && Catch::EndsWith("}}"));
  CHECK(client.Get("/debug/pprof")->status == 404);
}

TEST_CASE("an address that another has is busy, and free again after stop") {
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  MetricsServer first(ephemeral, metrics, "{}", shortage);
  REQUIRE(first.bind());
  const SocketAddress taken{ephemeral.address, first.port()};
  MetricsServer second(taken, metrics, "{}", shortage);
  // Bound but not yet started counts as well.
  const auto refused = second.bind();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::busy);
  CHECK_THAT(refused.error().message(),
             Catch::StartsWith("listen on " + taken.to_string() + ": another process has this address") &&
                 Catch::EndsWith("(EADDRINUSE)"));
  CHECK_FALSE(second.start());
  first.stop();
  first.stop();
  REQUIRE(second.bind());
  REQUIRE(second.start());
  CHECK(httplib::Client("127.0.0.1", taken.port.number).Get("/proxyMode")->body == "ipvs");
}

TEST_CASE("a server whose address is taken starts when it is free") {
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  MetricsServer first(ephemeral, metrics, "{}", shortage);
  REQUIRE(first.bind());
  const Port port = first.port();
  MetricsServer second({ephemeral.address, port}, metrics, "{}", shortage);
  const auto start = [&]() -> Result<void> {
    if (const auto bound = second.bind(); !bound) return bound;
    return second.start();
  };
  const auto refused = start();
  REQUIRE_FALSE(refused);
  std::atomic<int> failures = 0;
  std::atomic<int> attempts = 0;
  const StartRetry retry(
      [&] {
        ++attempts;
        return start();
      },
      [&](const Error&) { ++failures; }, refused.error(), 1ms);
  while (attempts < 3) std::this_thread::yield();
  first.stop();
  httplib::Client client("127.0.0.1", port.number);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  auto answer = client.Get("/proxyMode");
  while (!answer && std::chrono::steady_clock::now() < deadline) answer = client.Get("/proxyMode");
  REQUIRE(answer);
  CHECK(answer->body == "ipvs");
  CHECK(failures == 0);  // nothing but what was known
}

TEST_CASE("an address of no link cannot be bound") {
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  MetricsServer server({*IpAddress::parse("192.0.2.1"), Port{10249}}, metrics, "{}", shortage);
  REQUIRE_FALSE(server.bind());
}

TEST_CASE("whatever the node is short of, a client waits and is answered, and it is told once with its remedy") {
  const auto [sys_errno, remedy] = GENERATE(table<int, std::string>({
      {EMFILE, "file descriptors are in use; raise LimitNOFILE"},
      {ENFILE, "the node has no file descriptors left; raise fs.file-max"},
      {ENOBUFS, "no memory for a socket; raise the memory limit, or see net.ipv4.tcp_mem"},
      {ENOMEM, "no memory for a socket; raise the memory limit, or see net.ipv4.tcp_mem"},
  }));
  HealthState health{Moment::now()};
  Metrics metrics{"test"};
  std::mutex mutex;
  std::vector<Error> told;
  Shortage shortage{metrics, [&](const Error& error) {
                      const std::lock_guard lock(mutex);
                      told.push_back(error);
                    }};
  HealthServer server{ephemeral, health, metrics, shortage};
  REQUIRE(server.bind());
  REQUIRE(server.start());
  const std::string probe = "GET /livez HTTP/1.1\r\n\r\n";
  fail_accepts(3, sys_errno);
  CHECK_THAT(exchange(server.port(), probe), Catch::StartsWith("HTTP/1.1 200 OK"));
  CHECK(accept_failures(metrics) == 3);
  // One that is served makes room.
  const auto silent = connect_to(server.port());
  CHECK_THAT(exchange(server.port(), probe), Catch::StartsWith("HTTP/1.1 200 OK"));
  fail_accepts(1, sys_errno);
  CHECK_THAT(exchange(server.port(), probe), Catch::StartsWith("HTTP/1.1 200 OK"));
  char byte = 0;
  CHECK(::recv(silent.get(), &byte, 1, 0) == 0);
  CHECK(accept_failures(metrics) == 4);
  server.stop();
  REQUIRE(told.size() == 1);
  CHECK(told[0].code == Errc::busy);
  CHECK(told[0].sys_errno == sys_errno);
  CHECK_THAT(told[0].message(), Catch::StartsWith("accept connections: ") && Catch::Contains(remedy));
}

TEST_CASE("an errno of accept that is no shortage costs one connection's turn, and is not told") {
  HealthFixture fixture;
  for (const int sys_errno : {ECONNABORTED, EINTR, EPROTO}) {
    fail_accepts(2, sys_errno);
    CHECK_THAT(exchange(fixture.server.port(), "GET /livez HTTP/1.1\r\n\r\n"), Catch::StartsWith("HTTP/1.1 200 OK"));
  }
  CHECK(accept_failures(fixture.metrics) == 0);
}

TEST_CASE("stop does not wait for clients that say nothing") {
  HealthFixture fixture;
  std::vector<Fd> silent;
  // More than there are workers.
  for (int i = 0; i < 20; ++i) silent.push_back(connect_to(fixture.server.port()));
  fixture.server.stop();
  char byte = 0;
  CHECK(::recv(silent.front().get(), &byte, 1, 0) <= 0);
}

TEST_CASE("nonsense and floods get an error or a closed connection, and others an answer") {
  HealthFixture fixture;
  const auto port = fixture.server.port();
  for (const auto& request :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x00\xff\0\0", 7) + "\r\n\r\n",
        "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n"})
    CHECK_THAT(exchange(port, request), !Catch::Contains("200 OK"));
  {
    // Headers without an end: the size limit closes.
    const auto fd = connect_to(port);
    const std::string header = "A: " + std::string(1000, 'b') + "\r\n";
    ::send(fd.get(), "GET /livez HTTP/1.1\r\n", 21, MSG_NOSIGNAL);
    int sent = 0;
    while (sent < 100'000 && ::send(fd.get(), header.data(), header.size(), MSG_NOSIGNAL) > 0) ++sent;
    CHECK(sent < 100'000);
  }
  CHECK_THAT(exchange(port, "GET /livez HTTP/1.0\r\n\r\n"), Catch::Contains("200 OK"));
}

TEST_CASE("which addresses are asked for another proxy") {
  auto config = default_config();
  CHECK(other_proxy_probes(config).size() == 2);
  config.healthz = SocketAddress{IpAddress::any(Family::ipv6), Port{10256}};
  config.metrics.reset();
  const auto probes = other_proxy_probes(config);
  REQUIRE(probes.size() == 3);
  CHECK(probes[2].address.to_string() == "[::1]:10256");
}

TEST_CASE("an answer of any length that is none of a proxy's names no mode") {
  const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nipvs";
  CHECK(proxy_mode_of(whole) == "ipvs");
  const auto body = whole.find("ipvs");
  for (std::size_t size = 0; size <= body; ++size) CHECK(proxy_mode_of(whole.substr(0, size)).empty());
  for (const auto* answer : {"HTTP/1.", "HTTP/1.\r\n\r\n", "HTTP/1.1\r\n\r\n 200ipvs", "HTTP/1.1 404\r\n\r\nipvs",
                             "HTTP/1.1 200\r\n\r\nIPVS", "SSH-2.0-x 200\r\n\r\nipvs"})
    CHECK(proxy_mode_of(answer).empty());
}

TEST_CASE("another proxy is found by its answer") {
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  MetricsServer server(ephemeral, metrics, "{}", shortage);
  REQUIRE(server.bind());
  const SocketAddress address{ephemeral.address, server.port()};
  const std::vector<Probe> probes{{address, "/proxyMode"}};
  // In the kernel's backlog, but nobody answers.
  CHECK(ask_probes(probes, 50ms).value() == address.to_string() + " accepts connections, but gives no HTTP answer");
  REQUIRE(server.start());
  CHECK(ask_probes(probes, 10s).value() == address.to_string() + " answers (proxyMode ipvs)");
  CHECK(ask_probes({{address, "/healthz"}}, 10s).value() == address.to_string() + " answers");
  server.stop();
  CHECK_FALSE(ask_probes(probes).value());
}

TEST_CASE("a client that finds no descriptor waits, and is answered when there is one") {
  if (!NoDescriptors::possible) return;
  Metrics metrics("test");
  std::atomic<int> told = 0;
  Shortage shortage(metrics, [&](const Error& error) {
    if (error.sys_errno == EMFILE && error.code == Errc::busy) ++told;
  });
  MetricsServer server(ephemeral, metrics, "{}", shortage);
  REQUIRE(server.bind());
  REQUIRE(server.start());
  const std::string request = "GET /proxyMode HTTP/1.1\r\n\r\n";
  for (int round = 0; round < 2; ++round) {
    // Connected from a socket that was there before.
    const Fd client(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.port().number);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const double before = accept_failures(metrics);
    const auto began = std::chrono::steady_clock::now();
    {
      const NoDescriptors none;
      REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
      REQUIRE(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0);
      while (accept_failures(metrics) < before + 3) std::this_thread::yield();
    }
    std::string answer;
    std::array<char, 4096> buffer;
    for (ssize_t size; (size = ::recv(client.get(), buffer.data(), buffer.size(), 0)) > 0;)
      answer.append(buffer.data(), static_cast<std::size_t>(size));
    CHECK_THAT(answer, Catch::EndsWith("ipvs"));
    // It did not look more often than its pause allows.
    const auto pauses = (std::chrono::steady_clock::now() - began) / Shortage::pause;
    CHECK(accept_failures(metrics) - before <= static_cast<double>(1 + pauses));
  }
  CHECK(told == 1);
}

TEST_CASE("without a descriptor nothing is known about another proxy") {
  if (!NoDescriptors::possible) return;
  const std::vector<Probe> probes{{{ephemeral.address, Port{1}}, "/healthz"}};
  {
    const NoDescriptors none;
    const auto asked = ask_probes(probes);
    REQUIRE_FALSE(asked);
    CHECK(asked.error().message() == "ask 127.0.0.1:1 for another proxy: busy (EMFILE)");
    const auto processes = proxy_processes();
    REQUIRE_FALSE(processes);
    CHECK(processes.error().message() == "read /proc: busy (EMFILE)");
    CHECK_FALSE(another_proxy_beside_us(default_config()));
    CHECK_THAT(another_proxy(default_config()).value_or(""),
               Catch::Contains("cannot be told") && Catch::Contains("EMFILE"));
  }
  CHECK_FALSE(ask_probes(probes).value());
  CHECK(proxy_processes());
}
