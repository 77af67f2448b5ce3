#include <unistd.h>
#include <catch2/catch.hpp>

#include "ctl/dump.hpp"
#include "ctl/dump_ipvsadm.hpp"
#include "ctl/dump_json.hpp"
#include "ctl/dump_table.hpp"
#include "os/process.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

nl::DestinationRecord destination(std::string_view address, std::uint16_t port, std::uint32_t weight) {
  nl::DestinationRecord record;
  record.observed.destination.key = {ip(address), Port{port}};
  record.observed.destination.weight = weight;
  return record;
}

// A virtual server that has something of everything, and one by mark that has nothing.
Observation example_observation() {
  Observation observation;
  nl::VirtualServerRecord web;
  web.server.key = {ip("10.96.0.1"), Protocol::tcp, Port{443}, 0};
  web.server.scheduler = "sh";
  web.server.flags = flag_persistent | flag_sched2;
  web.server.timeout = 10800;
  web.server.client_prefix = 24;
  web.client_netmask = 0xffffff00;
  web.statistics.connections = 18446744073709551615ULL;
  web.statistics.in_bytes = 1234567;
  nl::VirtualServerRecord mark;
  mark.server.key = {IpAddress::any(Family::ipv6), Protocol::none, Port{}, 7};
  mark.server.flags = flag_one_packet;
  mark.server.client_prefix = 128;
  mark.client_netmask = 128;
  mark.persistence_engine = "bad \xff name";
  observation.servers = {web, mark};
  observation.link = {true, {{"kube-ipvs0", ip("10.96.0.1"), 32}, {"kube-ipvs0", ip("fd00::1"), 64}}};
  const IpSet cluster{SetKind::cluster_ip, Family::ipv4};
  observation.sets = {{cluster, 2, std::vector{*parse_element(cluster, "10.96.0.1,tcp:443")}, {}},
                      {{SetKind::ipvs_ips, Family::ipv6}, 70000, {}, {}},
                      {{SetKind::loop_back, Family::ipv4}, 0, {}, "of another type"}};
  return observation;
}

ObservedServer example_server() {
  ObservedServer server{example_observation().servers[0], {}};
  server.destinations = {destination("10.1.0.1", 6443, 1), destination("10.1.0.2", 6443, 0),
                         destination("10.1.0.3", 6443, 5)};
  server.destinations[0].observed.active_connections = 3;
  server.destinations[1].observed.active_connections = 4;
  auto& tunnelled = server.destinations[2];
  tunnelled.observed.destination.method = ForwardMethod::tunnel;
  tunnelled.observed.destination.upper_threshold = 5;
  tunnelled.tunnel = {nl::TunnelType::gue, Port{6080}, IP_VS_TUNNEL_ENCAP_FLAG_CSUM};
  return server;
}

std::string whole_json() {
  const auto observation = example_observation();
  return json_head() + json_text(example_server()) + "," + json_text({observation.servers[1], {}}) +
         json_tail(observation);
}

}  // namespace

TEST_CASE("ipvsadm's language") {
  CHECK(ipvsadm_text(example_server()) ==
        "-A -t 10.96.0.1:443 -s sh -p 10800 -M 255.255.255.0 -b sh-port\n"
        "-a -t 10.96.0.1:443 -r 10.1.0.1:6443 -m -w 1\n"
        "-a -t 10.96.0.1:443 -r 10.1.0.2:6443 -m -w 0\n"
        "-a -t 10.96.0.1:443 -r 10.1.0.3:6443 -i -w 5 --tun-type gue --tun-port 6080 --tun-csum\n");
}

TEST_CASE("the table") {
  const auto observation = example_observation();
  const TableStyle style{.name_width = 23};
  CHECK(table_heading(observation, style) + table_text(example_server(), style) ==
        "VIRTUAL SERVER           VIA           WEIGHT  ACTIVE  INACTIVE   CONNS  CONN/S  BYTES IN  BYTES OUT  B/S IN  "
        "B/S OUT\n"
        "10.96.0.1:443/TCP        sh                         7         0   18.4E       0     1.23M          0       0  "
        "      0  persistent 10800 s per clients' /24, sh-port\n"
        "  10.1.0.1:6443          masquerade         1       3         0       0       0         0          0       0  "
        "      0\n"
        "  10.1.0.2:6443          masquerade         0       4         0       0       0         0          0       0  "
        "      0  draining\n"
        "  10.1.0.3:6443          tunnel             5       0         0       0       0         0          0       0  "
        "      0  full at 5 connections, open again below 4, gue port 6080\n");
  CHECK(table_rest(observation, style) ==
        "\n"
        "ADDRESSES on kube-ipvs0: 2\n"
        "  10.96.0.1\n"
        "  fd00::1/64\n"
        "\n"
        "SETS: 3\n"
        "KUBE-CLUSTER-IP  hash:ip,port           2\n"
        "  10.96.0.1,tcp:443\n"
        "KUBE-6-IPVS-IPS  hash:ip            70000\n"
        "KUBE-LOOP-BACK   of another type\n");
}

TEST_CASE("an empty node in the table") {
  CHECK(table_heading({}, {}) + table_rest({}, {}) == "no virtual servers\n\nno link kube-ipvs0\n\nno KUBE sets\n");
  CHECK(table_heading({}, {.narrowed = true}) == "no virtual server matches\n");
  // Room for any IPv4 destination, and more where there is IPv6.
  CHECK(name_width_for({}) == 23);
  CHECK(name_width_for(example_observation()) == 35);
}

TEST_CASE("a long address widens its block and is not cut") {
  const TableStyle style{.name_width = 10};
  const auto text = table_text(
      {example_observation().servers[1], {destination("fd00:1234:5678:9abc:def0:1234:5678:9abc", 65535, 1)}}, style);
  CHECK(text.find("  [fd00:1234:5678:9abc:def0:1234:5678:9abc]:65535  masquerade ") != std::string::npos);
  CHECK(text.find("fwmark 7 IPv6 ") == 0);
  CHECK(text.find("one-packet") != std::string::npos);
}

TEST_CASE("colour marks headings and draining destinations, and nothing else changes") {
  const TableStyle plain{.wide = true, .name_width = 30};
  const TableStyle coloured{.colour = true, .wide = true, .name_width = 30};
  auto text = table_text(example_server(), coloured);
  CHECK(text.find("\033[33m  10.1.0.2:6443 ") != std::string::npos);
  for (const std::string code : {"\033[0m", "\033[1m", "\033[33m"})
    for (auto at = text.find(code); at != std::string::npos; at = text.find(code)) text.erase(at, code.size());
  CHECK(text == table_text(example_server(), plain));
  CHECK(text.find("18446744073709551615") != std::string::npos);
}

TEST_CASE("scaled numbers") {
  const std::vector<std::pair<std::uint64_t, std::string>> cases{{0, "0"},
                                                                 {99'999, "99999"},
                                                                 {100'000, "100k"},
                                                                 {999'999, "999k"},
                                                                 {1'000'000, "1.00M"},
                                                                 {1'239'999, "1.23M"},
                                                                 {12'345'678, "12.3M"},
                                                                 {1'050'000'000, "1.05G"},
                                                                 {18446744073709551615ULL, "18.4E"}};
  for (const auto& [value, text] : cases) CHECK(scaled(value) == text);
}

TEST_CASE("the JSON is as its schema says") {
  const auto checked =
      run_process({"/usr/bin/python3", "-B", SCHEMA_CHECK, SCHEMA}, whole_json(), std::chrono::seconds(60));
  if (!checked) {
    WARN("skipped: " << checked.error().message());
    return;
  }
  CHECK(checked->out + checked->err == "");
  CHECK(checked->exit_status == 0);
}

TEST_CASE("the JSON keeps 64 bits and replaces what is no text") {
  const auto text = whole_json();
  CHECK(text.find("\"connections\":18446744073709551615") != std::string::npos);
  CHECK(text.find("\xff") == std::string::npos);
}

TEST_CASE("formats") {
  CHECK(parse_dump_format("ipvsadm") == DumpFormat::ipvsadm);
  REQUIRE_FALSE(parse_dump_format("xml"));
  CHECK(parse_dump_format("xml").error().context.find("accepted are table, wide, json and ipvsadm") !=
        std::string::npos);
}

TEST_CASE("without IPVS there is one line that says how to get it, and no output") {
  if (::access("/proc/net/ip_vs", F_OK) == 0) {
    WARN("skipped: this kernel has IPVS");
    return;
  }
  std::string out;
  const auto dumped = dump({}, [&](std::string_view text) -> Result<void> {
    out += text;
    return {};
  });
  REQUIRE_FALSE(dumped);
  CHECK(dumped.error() ==
        Error{Errc::unsupported, 0, "this kernel has no IPVS, or it is not loaded: try modprobe ip_vs"});
  CHECK(out.empty());
}
