#include <catch2/catch.hpp>

#include "ctl/selector.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

VirtualServerKey key(std::string_view address, Protocol protocol, std::uint16_t port) {
  return {ip(address), protocol, Port{port}, 0};
}

Selectors selection(const std::vector<std::string>& words) {
  auto parsed = Selectors::parse(words);
  if (!parsed) FAIL(parsed.error().message());
  return *parsed;
}

}  // namespace

TEST_CASE("selectors that are accepted") {
  struct Case {
    const char* text;
    Selector selector;
  };
  const Case cases[] = {
      {"10.96.0.1", {ip("10.96.0.1"), {}, Protocol::none, 0}},
      {"10.96.0.1:443", {ip("10.96.0.1"), Port{443}, Protocol::none, 0}},
      {"10.96.0.1:443/TCP", {ip("10.96.0.1"), Port{443}, Protocol::tcp, 0}},
      {"10.96.0.1/udp", {ip("10.96.0.1"), {}, Protocol::udp, 0}},
      {"fd00::1", {ip("fd00::1"), {}, Protocol::none, 0}},
      {"[fd00::1]", {ip("fd00::1"), {}, Protocol::none, 0}},
      {"[fd00::1]:53/sctp", {ip("fd00::1"), Port{53}, Protocol::sctp, 0}},
      // All of it is an address.
      {"fd00::1:53", {ip("fd00::1:53"), {}, Protocol::none, 0}},
      {"443", {{}, Port{443}, Protocol::none, 0}},
      {"53/udp", {{}, Port{53}, Protocol::udp, 0}},
      {"tcp", {{}, {}, Protocol::tcp, 0}},
      {"SCTP", {{}, {}, Protocol::sctp, 0}},
      {"fwmark:7", {{}, {}, Protocol::none, 7}},
      {"fwmark:4294967295", {{}, {}, Protocol::none, 4294967295}},
  };
  for (const auto& [text, wanted] : cases) {
    INFO(text);
    const auto parsed = parse_selector(text);
    REQUIRE(parsed);
    CHECK(*parsed == wanted);
  }
}

TEST_CASE("selectors that are refused, with what is accepted") {
  for (const std::string text : {"",
                                 "/",
                                 "/tcp",
                                 "bla",
                                 "0",
                                 "65536",
                                 "-1",
                                 "80 ",
                                 " 80",
                                 "80/",
                                 "80/icmp",
                                 "10.0.0.1:",
                                 "10.0.0.1:0",
                                 "10.0.0.1:65536",
                                 "10.0.0.1:80:80",
                                 "10.0.0.256",
                                 "10.0.0.0/8",
                                 "[10.0.0.1]:80",
                                 "[fd00::1",
                                 "[fd00::1]80",
                                 "[fd00::1]:",
                                 "[]",
                                 "[",
                                 "[]:80",
                                 ":",
                                 ":80",
                                 "fwmark:",
                                 "fwmark:0",
                                 "fwmark:4294967296",
                                 "fwmark:1/tcp",
                                 "tcp/80",
                                 "default/kubernetes"}) {
    INFO(text);
    const auto parsed = parse_selector(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::malformed);
    CHECK(parsed.error().context.find("accepted are an address") != std::string::npos);
  }
  const std::vector<std::string> words{"tcp", "nonsense"};
  CHECK_FALSE(Selectors::parse(words));
}

TEST_CASE("words of one kind widen, kinds narrow") {
  const auto dns_udp = key("10.96.0.10", Protocol::udp, 53);
  const auto dns_tcp = key("10.96.0.10", Protocol::tcp, 53);
  const auto web = key("10.96.0.1", Protocol::tcp, 443);
  const auto web6 = key("fd00::1", Protocol::tcp, 443);
  const VirtualServerKey mark{IpAddress::any(Family::ipv4), Protocol::none, Port{}, 7};
  struct Case {
    std::vector<std::string> words;
    std::vector<bool> matches;  // dns_udp, dns_tcp, web, web6, mark
  };
  const std::vector<Case> cases{
      {{}, {true, true, true, true, true}},
      {{"10.96.0.10"}, {true, true, false, false, false}},
      {{"10.96.0.10", "udp"}, {true, false, false, false, false}},
      {{"10.96.0.10", "10.96.0.1"}, {true, true, true, false, false}},
      {{"10.96.0.10:53/udp", "10.96.0.1:443"}, {true, false, true, false, false}},
      {{"tcp"}, {false, true, true, true, false}},
      {{"53", "443", "tcp"}, {false, true, true, true, false}},
      {{"53/udp", "443"}, {true, false, true, true, false}},
      {{"fd00::1"}, {false, false, false, true, false}},
      {{"fwmark:7"}, {false, false, false, false, true}},
      {{"fwmark:7", "fd00::1"}, {false, false, false, true, true}},
      {{"fwmark:8"}, {false, false, false, false, false}},
      {{"0.0.0.0"}, {false, false, false, false, false}},
      {{"10.96.0.10:443"}, {false, false, false, false, false}},
  };
  for (const auto& [words, wanted] : cases) {
    CAPTURE(words);
    const auto selected = selection(words);
    CHECK(selected.everything() == words.empty());
    const std::vector<bool> found{selected.matches(dns_udp), selected.matches(dns_tcp), selected.matches(web),
                                  selected.matches(web6), selected.matches(mark)};
    CHECK(found == wanted);
  }
}

TEST_CASE("bound addresses and set entries match by what they have in common with the selectors") {
  const auto entry = [](SetKind kind, std::string_view text) { return *parse_element({kind, Family::ipv4}, text); };
  const auto cluster = entry(SetKind::cluster_ip, "10.96.0.10,udp:53");
  const auto address = entry(SetKind::ipvs_ips, "10.96.0.10");
  const auto node_port = entry(SetKind::node_port_udp, "30053");
  struct Case {
    std::vector<std::string> words;
    std::vector<bool> matches;  // the bound address 10.96.0.10, cluster, address, node_port
  };
  const std::vector<Case> cases{
      {{}, {true, true, true, true}},
      {{"10.96.0.10"}, {true, true, true, false}},
      {{"10.96.0.10:53/udp"}, {true, true, true, false}},
      {{"10.96.0.10", "tcp"}, {true, false, true, false}},
      {{"10.96.0.10:54"}, {true, false, true, false}},
      {{"10.96.0.11:53"}, {false, false, false, false}},
      {{"53"}, {false, true, false, false}},
      {{"udp"}, {false, true, false, true}},
      {{"192.168.0.1:30053/udp"}, {false, false, false, true}},
      {{"192.168.0.1:30053/tcp"}, {false, false, false, false}},
      {{"fwmark:7"}, {false, false, false, false}},
  };
  for (const auto& [words, wanted] : cases) {
    CAPTURE(words);
    const auto selected = selection(words);
    const std::vector<bool> found{selected.matches(ip("10.96.0.10")), selected.matches(cluster),
                                  selected.matches(address), selected.matches(node_port)};
    CHECK(found == wanted);
  }
}
