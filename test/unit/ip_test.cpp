#include <catch2/catch.hpp>

#include "model/ip.hpp"

using namespace ipvsd;

TEST_CASE("addresses are canonical on input") {
  const auto [text, canonical] = GENERATE(table<std::string, std::string>({
      {"10.96.0.1", "10.96.0.1"},
      {"010.096.000.001", "10.96.0.1"},
      {"255.255.255.255", "255.255.255.255"},
      {"FD00:0:0::1", "fd00::1"},
      {"fd00:0000:0000:0000:0000:0000:0000:0001", "fd00::1"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"::", "::"},
  }));
  const auto address = IpAddress::parse(text);
  REQUIRE(address);
  CHECK(address->to_string() == canonical);
  CHECK(*IpAddress::parse(canonical) == *address);
}

TEST_CASE("what is no address is refused") {
  const auto text = GENERATE(as<std::string>{}, "", "10.0.0", "10.0.0.0.1", "10.0.0.256", "10.0.0.-1", "10.0.0.1 ",
                             "+1.0.0.1", "1..2.3", "fe80::1%eth0", ":::", "hello", "10.0.0.1/32",
                             std::string("fd00::1\0x", 9), std::string(1000, 'f'));
  const auto address = IpAddress::parse(text);
  REQUIRE_FALSE(address);
  CHECK(address.error().code == Errc::malformed);
}

TEST_CASE("prefixes clear host bits and contain addresses") {
  const auto net = Cidr::parse("10.244.1.77/20");
  REQUIRE(net);
  CHECK(net->to_string() == "10.244.0.0/20");
  CHECK(net->contains(*IpAddress::parse("10.244.15.255")));
  CHECK_FALSE(net->contains(*IpAddress::parse("10.244.16.0")));
  CHECK_FALSE(net->contains(*IpAddress::parse("fd00::1")));
  CHECK(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("1.2.3.4")));
  CHECK(Cidr::parse("fd00:10:96::1/108")->to_string() == "fd00:10:96::/108");
  for (const auto* bad : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "fd00::/129", "/8"})
    CHECK_FALSE(Cidr::parse(bad));
}

TEST_CASE("the ranges a proxy asks about") {
  CHECK(IpAddress::parse("127.9.9.9")->is_loopback());
  CHECK(IpAddress::parse("::1")->is_loopback());
  CHECK_FALSE(IpAddress::parse("::2")->is_loopback());
  CHECK(IpAddress::parse("169.254.1.1")->is_link_local());
  CHECK(IpAddress::parse("febf::1")->is_link_local());
  CHECK_FALSE(IpAddress::parse("fec0::1")->is_link_local());
  CHECK(IpAddress::any(Family::ipv6).is_unspecified());
  CHECK(format_socket(*IpAddress::parse("fd00::1"), Port{80}) == "[fd00::1]:80");
  CHECK(parse_protocol("sCtP") == Protocol::sctp);
  CHECK_FALSE(parse_protocol("ICMP"));
}
