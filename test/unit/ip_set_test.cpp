#include <catch2/catch.hpp>

#include "model/ip_set.hpp"
#include "model/kernel.hpp"

using namespace ipvsd;

TEST_CASE("set names fit the kernel and are found again") {
  CHECK(all_ip_sets().size() == 38);
  for (const auto& set : all_ip_sets()) {
    CHECK(set.name().size() <= 31);
    CHECK(ip_set_by_name(set.name()) == set);
  }
  CHECK(IpSet{SetKind::load_balancer_source_cidr, Family::ipv6}.name() == "KUBE-6-LOAD-BALANCER-SOURCE-CID");
  CHECK_FALSE(ip_set_by_name("KUBE-OTHER"));
}

TEST_CASE("elements are read back as they were written") {
  const auto [kind, family, text] = GENERATE(table<SetKind, Family, std::string>({
      {SetKind::ipvs_ips, Family::ipv4, "10.96.0.1"},
      {SetKind::cluster_ip, Family::ipv4, "10.96.0.1,tcp:443"},
      {SetKind::cluster_ip, Family::ipv6, "fd00:10:96::1,sctp:443"},
      {SetKind::loop_back, Family::ipv4, "10.244.1.2,udp:53,10.244.1.2"},
      {SetKind::load_balancer_source_cidr, Family::ipv4, "203.0.113.1,tcp:80,198.51.100.0/24"},
      {SetKind::load_balancer_source_cidr, Family::ipv4, "203.0.113.1,tcp:80,198.51.100.7"},
      {SetKind::node_port_tcp, Family::ipv6, "30080"},
  }));
  const auto entry = parse_element({kind, family}, text);
  REQUIRE(entry);
  CHECK(entry->element() == text);
}

TEST_CASE("a host prefix and numeric protocols mean the same as their usual form") {
  const IpSet nets{SetKind::load_balancer_source_cidr, Family::ipv4};
  CHECK(parse_element(nets, "203.0.113.1,tcp:80,198.51.100.7/32") ==
        parse_element(nets, "203.0.113.1,6:80,198.51.100.7"));
}

TEST_CASE("elements that do not fit their set are refused") {
  for (const auto* text : {"", "10.0.0.1", "10.0.0.1,tcp", "10.0.0.1,tcp:", "10.0.0.1,tcp:80,10.0.0.2",
                           "10.0.0.1,icmp:80", "10.0.0.1,tcp:65536", "fd00::1,tcp:80", ",,,,,"})
    CHECK_FALSE(parse_element({SetKind::cluster_ip, Family::ipv4}, text));
  CHECK_FALSE(parse_element({SetKind::node_port_tcp, Family::ipv4}, "tcp:80"));
}

TEST_CASE("operations print as one line") {
  VirtualServer server;
  server.key = {*IpAddress::parse("10.96.0.1"), Protocol::tcp, Port{443}};
  server.flags = flag_persistent;
  server.timeout = 60;
  CHECK(to_string(Operation{Verb::add, server}) == "add virtual server 10.96.0.1:443/TCP rr persistent 60s");
  CHECK(to_string(Operation{
            Verb::set, DestinationOf{server.key,
                                     {{*IpAddress::parse("10.244.1.1"), Port{8443}}, ForwardMethod::masquerade, 0}}}) ==
        "set destination 10.244.1.1:8443 of 10.96.0.1:443/TCP weight 0");
  CHECK(to_string(Operation{Verb::remove, BoundAddress{server.key.address}}) == "remove address 10.96.0.1");
}
