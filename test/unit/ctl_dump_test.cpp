#include <unistd.h>
#include <catch2/catch.hpp>

#include "ctl/dump.hpp"
#include "ctl/dump_dot.hpp"
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

// As the daemon would name it: a Service with its pods.
Names example_names() {
  Names names;
  Service service;
  service.key = {"default", "kubernetes"};
  service.cluster_ips = {ip("10.96.0.1")};
  service.ports = {{"https", Protocol::tcp, Port{443}, Port{30443}}};
  names.add(service);
  EndpointSlice slice;
  slice.key = {"default", "kubernetes-x"};
  slice.endpoints.resize(2);
  slice.endpoints[0].address = ip("10.1.0.1");
  slice.set_pod(slice.endpoints[0], "api-1");
  slice.endpoints[1].address = ip("10.1.0.2");
  names.add(slice);
  return names;
}

Connection example_connection() {
  return {Protocol::tcp, ip("192.0.2.9"),
          Port{40000},   ip("10.96.0.1"),
          Port{443},     {ip("10.1.0.1"), Port{6443}},
          "ESTABLISHED", 893};
}

std::string whole_json() {
  auto observation = example_observation();
  observation.rules = {{Family::ipv4, "legacy", {{"nat", "KUBE-SERVICES", {"-j \"x\""}}}, ""},
                       {Family::ipv6, "", {}, "ip6tables-save is not installed"}};
  observation.sysctls = {{"net.ipv4.vs.conntrack", "1"}};
  observation.timeouts = nl::Timeouts{std::chrono::seconds(900), std::chrono::seconds(120), std::chrono::seconds(300)};
  const auto names = example_names();
  return json_head() + json_text(example_server(), names) + "," + json_text({observation.servers[1], {}}, names) +
         json_tail(observation) + json_connections_head() + json_text(example_connection(), names) + json_end(true);
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
  const Names none;
  ServerTable table(style, none);
  CHECK(table.heading(observation) + table.text(example_server()) ==
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

TEST_CASE("names stand beside virtual servers and destinations") {
  const auto names = example_names();
  const auto observation = example_observation();
  const TableStyle style{.name_width = 23, .label_width = label_width_for(observation, names)};
  ServerTable table(style, names);
  const auto text = table.text(example_server());
  CHECK(text.find("10.96.0.1:443/TCP        default/kubernetes:https ") == 0);
  CHECK(text.find("\n  10.1.0.1:6443            api-1 ") != std::string::npos);
  CHECK(label_width_for(observation, {}) == 0);
}

TEST_CASE("an empty node in the table") {
  const Names none;
  CHECK(ServerTable({}, none).heading({}) + table_rest({}, {}) ==
        "no virtual servers\n\nno link kube-ipvs0\n\nno KUBE sets\n");
  CHECK(ServerTable({.narrowed = true}, none).heading({}) == "no virtual server matches\n");
  // Room for any IPv4 destination, and more where there is IPv6.
  CHECK(name_width_for({}) == 23);
  CHECK(name_width_for(example_observation()) == 35);
}

TEST_CASE("rules, settings and connections in the table") {
  Observation observation;
  observation.rules = {{Family::ipv4, "nft", {{"nat", "KUBE-SERVICES", {"-j A", "-j B"}}}, ""},
                       {Family::ipv6, "", {}, "no ip6tables-save"}};
  observation.sysctls = {{"net.ipv4.vs.conntrack", "1"}, {"net.ipv4.vs.sync_ports", "1"}};
  observation.timeouts = nl::Timeouts{std::chrono::seconds(900), std::chrono::seconds(120), std::chrono::seconds(300)};
  const auto few = table_rest(observation, {});
  CHECK(few.find("RULES for IPv4 (nft): 2 in 1 chains\nRULES for IPv6: no ip6tables-save\n") != std::string::npos);
  CHECK(few.find("TIMEOUTS: tcp 900 s, tcp after FIN 120 s, udp 300 s\n") != std::string::npos);
  CHECK(few.find("net.ipv4.vs.conntrack = 1\n") != std::string::npos);
  CHECK(few.find("sync_ports") == std::string::npos);
  const auto all = table_rest(observation, {.wide = true, .rules = true});
  CHECK(all.find("  nat KUBE-SERVICES\n    -j A\n    -j B\n") != std::string::npos);
  CHECK(all.find("sync_ports") != std::string::npos);
  CHECK(table_text(example_connection(), example_names(), {}) ==
        "TCP       192.0.2.9:40000        10.96.0.1:443          10.1.0.1:6443          ESTABLISHED     893s  "
        "default/kubernetes:https -> default/api-1\n");
}

TEST_CASE("a long address widens its column and is not cut") {
  const TableStyle style{.terminal = {.colour = false, .width = 60}, .name_width = 10};
  const Names none;
  ServerTable table(style, none);
  const auto text = table.text(
      {example_observation().servers[1], {destination("fd00:1234:5678:9abc:def0:1234:5678:9abc", 65535, 1)}});
  CHECK(text.find("  [fd00:1234:5678:9abc:def0:1234:5678:9abc]:65535  ") != std::string::npos);
  CHECK(text.find("fwmark 7 IPv6 ") == 0);
}

TEST_CASE("the table fits the terminal") {
  const Names none;
  for (const std::size_t width : {200U, 120U, 100U, 80U, 60U, 45U}) {
    const TableStyle style{.terminal = {.colour = false, .width = width}, .name_width = 23};
    ServerTable table(style, none);
    auto text = table.heading(example_observation()) + table.text(example_server());
    INFO(width << '\n' << text);
    CHECK(text.find("10.1.0.3:6443") != std::string::npos);
    CHECK(text.find("WEIGHT") != std::string::npos);
    for (auto at = text.find("…"); at != std::string::npos; at = text.find("…")) text.replace(at, 3, ".");
    while (!text.empty()) {
      CHECK(text.find('\n') <= width);
      text.erase(0, text.find('\n') + 1);
    }
  }
}

TEST_CASE("colour marks headings and draining destinations, and nothing else changes") {
  const Names none;
  ServerTable plain({.wide = true, .name_width = 30}, none);
  ServerTable coloured({.terminal = {.colour = true, .width = 0}, .wide = true, .name_width = 30}, none);
  auto text = coloured.text(example_server());
  CHECK(text.find("\033[33m  10.1.0.2:6443 ") != std::string::npos);
  for (const std::string code : {"\033[0m", "\033[1m", "\033[33m"})
    for (auto at = text.find(code); at != std::string::npos; at = text.find(code)) text.erase(at, code.size());
  CHECK(text == plain.text(example_server()));
  CHECK(text.find("18446744073709551615") != std::string::npos);
}

TEST_CASE("the graph") {
  const auto text = dot_head() + dot_text(example_server(), example_names()) + dot_tail();
  CHECK(text.find("  \"service default/kubernetes\" -> \"10.96.0.1:443/TCP\" [label=\"https\"];\n") !=
        std::string::npos);
  CHECK(text.find("  \"endpoint 10.1.0.1:6443\" [label=\"10.1.0.1:6443\\ndefault/api-1\"];\n") != std::string::npos);
  CHECK(text.find("  \"10.96.0.1:443/TCP\" -> \"endpoint 10.1.0.2:6443\" [label=\"0\", style=dashed];\n") !=
        std::string::npos);
}

TEST_CASE("YAML says what the JSON says") {
  const auto observation = example_observation();
  const auto names = example_names();
  const auto yaml = yaml_head(observation) + yaml_text(example_server(), names) + yaml_tail(observation) +
                    "connections:\n" + yaml_text(example_connection(), names);
  const auto json = json_head() + json_text(example_server(), names) + json_tail(observation) +
                    json_connections_head() + json_text(example_connection(), names) + json_end(true);
  const auto same = run_process(
      {"/usr/bin/python3", "-c",
       "import json, sys, yaml\na, b = sys.stdin.read().split('\\0')\nsys.exit(yaml.safe_load(a) != json.loads(b))"},
      yaml + '\0' + json, std::chrono::seconds(60));
  if (!same) {
    WARN("skipped: " << same.error().message());
    return;
  }
  CHECK(same->err == "");
  CHECK(same->exit_status == 0);
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
  CHECK(parse_format("ipvsadm", dump_formats) == Format::ipvsadm);
  REQUIRE_FALSE(parse_format("xml", dump_formats));
  CHECK(parse_format("xml", dump_formats).error().context ==
        "\"xml\" is no output format here; accepted are table, wide, json, yaml, ipvsadm and dot");
}

TEST_CASE("without IPVS there is one line that says how to get it") {
  if (::access("/proc/net/ip_vs", F_OK) == 0) {
    WARN("skipped: this kernel has IPVS");
    return;
  }
  const auto observer = Observer::open();
  REQUIRE_FALSE(observer);
  CHECK(observer.error() ==
        Error{Errc::unsupported, 0, "this kernel has no IPVS, or it is not loaded: try modprobe ip_vs"});
}
