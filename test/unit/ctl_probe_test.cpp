#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "ctl/probe.hpp"
#include "os/fd.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

using namespace std::chrono_literals;

// A socket of the loopback address, on a port of the kernel's choice.
struct Backend {
  explicit Backend(int type) : fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd.get(), any, size) == 0);
    REQUIRE(::getsockname(fd.get(), any, &size) == 0);
    key = {*IpAddress::parse("127.0.0.1"), Port{ntohs(address.sin_port)}};
  }
  Fd fd;
  DestinationKey key;
};

// A port on which nobody listens any more.
DestinationKey closed(int type) { return Backend(type).key; }

ProbeResult result_of(const DestinationKey& key, Protocol protocol, std::chrono::milliseconds deadline = 10s) {
  return probe({key}, protocol, deadline).at(key);
}

}  // namespace

TEST_CASE("a TCP backend answers or refuses") {
  const Backend listening(SOCK_STREAM);
  REQUIRE(::listen(listening.fd.get(), 5) == 0);
  CHECK(result_of(listening.key, Protocol::tcp) == ProbeResult::answers);
  CHECK(result_of(closed(SOCK_STREAM), Protocol::tcp) == ProbeResult::refuses);
}

TEST_CASE("a UDP backend replies, is closed, or says nothing, which means nothing") {
  const Backend replying(SOCK_DGRAM);
  std::thread reply([&] {
    std::array<char, 16> buffer{};
    sockaddr_in from{};
    socklen_t size = sizeof from;
    auto* any = reinterpret_cast<sockaddr*>(&from);
    const auto length = ::recvfrom(replying.fd.get(), buffer.data(), buffer.size(), 0, any, &size);
    if (length == 0) ::sendto(replying.fd.get(), "here", 4, 0, any, size);
  });
  CHECK(result_of(replying.key, Protocol::udp) == ProbeResult::answers);
  reply.join();
  CHECK(result_of(closed(SOCK_DGRAM), Protocol::udp) == ProbeResult::refuses);
  const Backend silent(SOCK_DGRAM);
  CHECK(result_of(silent.key, Protocol::udp, 50ms) == ProbeResult::unknown);
}

TEST_CASE("an SCTP backend is tried where the kernel has SCTP, which is not loaded for it") {
  const bool loaded = ::access("/proc/net/sctp", F_OK) == 0;
  const auto key = closed(SOCK_STREAM);
  CHECK(result_of(key, Protocol::sctp) == (loaded ? ProbeResult::refuses : ProbeResult::untried));
  CHECK((::access("/proc/net/sctp", F_OK) == 0) == loaded);
}

TEST_CASE("an address without a route is not reachable, and there is a limit") {
  // The broadcast address takes no connection.
  const DestinationKey nowhere{*IpAddress::parse("255.255.255.255"), Port{1}};
  CHECK(result_of(nowhere, Protocol::tcp) == ProbeResult::unreachable);
  std::vector<DestinationKey> many;
  for (std::uint16_t port = 1; port <= probe_limit + 10; ++port) many.push_back({nowhere.address, Port{port}});
  CHECK(probe(many, Protocol::tcp, 1s).size() == probe_limit);
}
