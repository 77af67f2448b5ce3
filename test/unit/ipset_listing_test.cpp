#include <catch2/catch.hpp>

#include <random>

#include "ipset/listing.hpp"
#include "ipset/session.hpp"

using namespace ipvsd;

namespace {

constexpr IpSet cluster_ip{SetKind::cluster_ip, Family::ipv4};

// As ipset 7.17 prints it.
constexpr std::string_view head =
    "Name: KUBE-CLUSTER-IP\nType: hash:ip,port\nRevision: 7\n"
    "Header: family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x8616836a\n"
    "Size in memory: 3240\nReferences: 4\nNumber of entries: 2\n";

std::string listing(std::string_view members) { return std::string(head) + "Members:\n" + std::string(members); }

}  // namespace

TEST_CASE("a listing gives header and entries") {
  const auto parsed = parse_listing(cluster_ip, listing("10.96.0.1,tcp:443\n10.96.0.10,17:53\n"));
  REQUIRE(parsed);
  CHECK(parsed->header.to_string() == "hash:ip,port family inet");
  CHECK(parsed->header.maxelem == 65536);
  REQUIRE(parsed->entries.size() == 2);
  CHECK(parsed->entries[0] == *parse_element(cluster_ip, "10.96.0.1,tcp:443"));
  CHECK(parsed->entries[1].element() == "10.96.0.10,udp:53");
  CHECK(parse_listing(cluster_ip, listing(""))->entries.empty());
}

TEST_CASE("extensions of entries are skipped") {
  const auto* options =
      GENERATE("timeout 30", "packets 0 bytes 0", "comment \"a b \\ 10.0.0.1,tcp:80\"", "comment \"\"",
               "skbmark 0x1/0xffffffff skbprio 1:10 skbqueue 10", "packets 1 bytes 2 comment \"x\" skbmark 0x1");
  const auto parsed = parse_listing(cluster_ip, listing(std::string("10.96.0.1,tcp:443 ") + options + "\n"));
  REQUIRE(parsed);
  CHECK(parsed->entries == std::vector{*parse_element(cluster_ip, "10.96.0.1,tcp:443")});
}

TEST_CASE("members that are not understood are errors that name set and line") {
  const auto* member = GENERATE("10.96.0.1", "10.96.0.1,icmp:echo-request", "10.96.0.1,tcp:443,10.0.0.1",
                                "fd00::1,tcp:443", "", "10.96.0.1,tcp:443 nomatch", "10.96.0.1,tcp:443 timeout",
                                "10.96.0.1,tcp:443 comment \"x", "10.96.0.0/24,tcp:443", "10.96.0.1,tcp:1-5");
  const auto parsed = parse_listing(cluster_ip, listing(std::string(member) + "\n"));
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == Errc::malformed);
  CHECK(parsed.error().context.find("KUBE-CLUSTER-IP") != std::string::npos);
  CHECK(parsed.error().context.find(member) != std::string::npos);
}

TEST_CASE("a listing that breaks off is an error") {
  const auto whole = listing("10.96.0.1,tcp:443\n10.96.0.10,udp:53\n");
  const auto boundary = whole.find("Members:\n") + std::string_view("Members:\n").size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto parsed = parse_listing(cluster_ip, std::string_view(whole).substr(0, size));
    // Behind a complete line nothing tells a cut from the end.
    const bool complete_line = size >= boundary && whole[size - 1] == '\n';
    INFO(size);
    CHECK(parsed.has_value() == complete_line);
  }
}

TEST_CASE("random bytes do not confuse the listing parser") {
  std::mt19937 random(7);
  const auto whole = listing("10.96.0.1,tcp:443 comment \"x y\"\n10.96.0.10,udp:53 timeout 3\n");
  for (int i = 0; i < 20000; ++i) {
    auto text = whole;
    for (int flips = 0; flips < 3; ++flips) text[random() % text.size()] = static_cast<char>(random());
    const auto parsed = parse_listing(cluster_ip, text);
    if (parsed) CHECK(parsed->entries.size() <= 6);
  }
}

TEST_CASE("which sets can serve as ours") {
  const auto [set, header, serves] = GENERATE(table<IpSet, std::string, bool>({
      {cluster_ip, "Type: hash:ip,port\nHeader: family inet hashsize 4096 maxelem 131072", true},
      {cluster_ip, "Type: hash:ip,port\nHeader: family inet hashsize 64 maxelem 64 counters comment skbinfo", true},
      {cluster_ip, "Type: hash:ip,port\nHeader: family inet6 hashsize 1024 maxelem 65536", false},
      {cluster_ip, "Type: hash:ip\nHeader: family inet hashsize 1024 maxelem 65536", false},
      {cluster_ip, "Type: hash:ip,port\nHeader: family inet hashsize 1024 maxelem 65536 timeout 60", false},
      {cluster_ip, "Type: hash:ip,port\nHeader: family inet hashsize 1024 maxelem 65536 forceadd", false},
      {{SetKind::node_port_tcp, Family::ipv6}, "Type: bitmap:port\nHeader: range 0-65535", true},
      {{SetKind::node_port_tcp, Family::ipv6}, "Type: bitmap:port\nHeader: range 0-1023", false},
  }));
  const auto parsed = parse_header(set.name(), "Name: " + std::string(set.name()) + "\n" + header + "\n");
  REQUIRE(parsed);
  CHECK(fits(set, *parsed) == serves);
}

TEST_CASE("headers that are not understood are errors") {
  for (const auto* text : {"", "Name: KUBE-CLUSTER-IP\n", "Name: OTHER\nType: hash:ip\nHeader: family inet\n",
                           "Type: hash:ip\nHeader:\n", "Name: KUBE-CLUSTER-IP\nType: hash:ip\nHeader: family\n",
                           "Name: KUBE-CLUSTER-IP\nType: hash:ip\nHeader: maxelem x\n",
                           "Name: KUBE-CLUSTER-IP\nType: hash:ip\nHeader: maxelem 99999999999\n", "nonsense\n"})
    CHECK_FALSE(parse_header("KUBE-CLUSTER-IP", text));
}

TEST_CASE("libipset's reports") {
  const auto [text, code] = GENERATE(table<std::string, Errc>({
      {"The set with the given name does not exist\n", Errc::not_found},
      {"Set cannot be created: set with the same name already exists\n", Errc::already_exists},
      {"Set cannot be destroyed: it is in use by a kernel component\n", Errc::busy},
      {"Kernel error received: Operation not permitted\n", Errc::denied},
      {"Kernel error received: set type not supported\n", Errc::unsupported},
      {"  Internal protocol error\n", Errc::overrun},
      {" \n", Errc::unsupported},
      {"", Errc::unsupported},
  }));
  const auto error = read_ipset_report(text);
  CHECK(error.code == code);
  CHECK_FALSE(error.context.empty());
}
