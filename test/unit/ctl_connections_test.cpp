#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "ctl/connections.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

// As Linux 6.1 prints them.
constexpr const char* ipv4_line = "TCP C0A84D01 C8A6 0A600A01 0050 0AF4010B 1F90 ESTABLISHED     893";
constexpr const char* ipv6_line =
    "UDP fd00:0077:0000:0000:0000:0000:0000:0001 C8A6 fd00:0010:0096:0000:0000:0000:0000:0001 0035 "
    "fd00:0010:0244:0001:0000:0000:0000:000b 1F90 UDP             299";
constexpr const char* template_line = "IP  C0A84D01 0000 00000007 0000 0AF4010B 0000 NONE            107 sip abc";

}  // namespace

TEST_CASE("lines of the kernel's connections") {
  CHECK(parse_connection(ipv4_line) == Connection{Protocol::tcp,
                                                  ip("192.168.77.1"),
                                                  Port{51366},
                                                  ip("10.96.10.1"),
                                                  Port{80},
                                                  {ip("10.244.1.11"), Port{8080}},
                                                  "ESTABLISHED",
                                                  893});
  CHECK(parse_connection(ipv6_line) == Connection{Protocol::udp,
                                                  ip("fd00:77::1"),
                                                  Port{51366},
                                                  ip("fd00:10:96::1"),
                                                  Port{53},
                                                  {ip("fd00:10:244:1::b"), Port{8080}},
                                                  "UDP",
                                                  299});
  const auto kept = parse_connection(template_line);
  REQUIRE(kept);
  CHECK(kept->protocol == Protocol::none);
  CHECK(kept->client_port.number == 0);
}

TEST_CASE("lines that are cut, or no connections, are refused and shown") {
  const std::string whole(ipv4_line);
  // From the last column on, a line that is cut is still one.
  const auto last = whole.find_last_of(' ');
  for (std::size_t size = 0; size <= last; ++size) CHECK_FALSE(parse_connection(whole.substr(0, size)));
  for (const std::string text : {"TCP C0A84D01 C8A6F 0A600A01 0050 0AF4010B 1F90 X 1", "TCP C0A84D0 1 2 3 4 5 6 7",
                                 "TCP C0A84D01 C8A6 0A600A01 0050 0AF4010B 1F90 X 1x", "\033[2J"}) {
    const auto refused = parse_connection(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::malformed);
    CHECK(refused.error().context.find('\033') == std::string::npos);
  }
}

TEST_CASE("a table is read line by line") {
  char path_template[] = "/tmp/ctl-connections.XXXXXX";
  const int fd = ::mkstemp(path_template);
  REQUIRE(fd >= 0);
  ::close(fd);
  const std::string path = path_template;
  std::ofstream(path) << "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
                      << ipv4_line << '\n'
                      << ipv6_line << '\n';
  std::vector<Connection> found;
  const auto visit = [&](const Connection& connection) -> Result<void> {
    found.push_back(connection);
    return {};
  };
  CHECK(read_connections(visit, path));
  CHECK(found.size() == 2);
  std::ofstream(path, std::ios::app) << "nonsense\n";
  REQUIRE_FALSE(read_connections(visit, path));
  CHECK(read_connections(visit, path).error().context == path + ": no connection: \"nonsense\"");
  std::remove(path.c_str());
  CHECK(read_connections(visit, path).error().code == Errc::not_found);
}
