#include <arpa/inet.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/ipset/ip_set_hash.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <random>

#include "netlink/ipvs_codec.hpp"
#include "netlink/links.hpp"
#include "netlink/routes.hpp"
#include "netlink/set_codec.hpp"
#include "netlink/socket.hpp"
#include "test/unit/captured.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::nl;
using namespace ipvsd::test;

TEST_CASE("virtual servers as the kernel answers them") {
  const auto v4 = decode_virtual_server(bytes_of_hex(captured_server_ipv4));
  REQUIRE(v4);
  CHECK(v4->server == VirtualServer{tcp("10.96.0.1", 443), "sh", flag_persistent, 10800, 32});
  const auto v6 = decode_virtual_server(bytes_of_hex(captured_server_ipv6));
  REQUIRE(v6);
  CHECK(v6->server == VirtualServer{{ip("fd00::1"), Protocol::udp, Port{53}, 0}, "rr", flag_persistent, 60, 128});
  const auto mark = decode_virtual_server(bytes_of_hex(captured_server_fwmark));
  REQUIRE(mark);
  CHECK(mark->server.key == VirtualServerKey{IpAddress::any(Family::ipv6), Protocol::none, Port{}, 7});
  CHECK(mark->server.scheduler == "wrr");
}

TEST_CASE("destinations, timeouts and addresses as the kernel answers them") {
  const auto destination = decode_destination(bytes_of_hex(captured_destination), Family::ipv4);
  REQUIRE(destination);
  CHECK(destination->observed.destination ==
        Destination{{ip("10.244.1.1"), Port{8443}}, ForwardMethod::masquerade, 5, 100, 50});
  CHECK(destination->observed.active_connections == 0);
  CHECK(destination->statistics == Statistics{});
  using std::chrono::seconds;
  CHECK(decode_timeouts(bytes_of_hex(captured_timeouts)) == Timeouts{seconds(900), seconds(120), seconds(300)});
  CHECK(decode_address(bytes_of_hex(captured_address_ipv4))->value().address == ip("10.96.0.1"));
  CHECK(decode_address(bytes_of_hex(captured_address_ipv6))->value() == IndexedAddress{2, ip("fd00::1"), 128});
  CHECK(decode_address(bytes_of_hex(captured_address_peer))->value().address == ip("10.0.0.1"));  // not the peer's
}

TEST_CASE("connection counters have 32 bits: a multiple of 65536 is not idle") {
  // IPVS_DEST_ATTR_ACTIVE_CONNS, INACT_CONNS and PERSIST_CONNS, of which the capture has 0.
  std::string hex = captured_destination;
  for (const auto& [attribute, value] : std::vector<std::pair<std::string, std::string>>{
           {"08000700", "00000100"}, {"08000800", "00000200"}, {"08000900", "ffffffff"}}) {
    const auto at = hex.find(attribute + "00000000");
    REQUIRE(at != std::string::npos);
    hex.replace(at + attribute.size(), value.size(), value);
  }
  const auto destination = decode_destination(bytes_of_hex(hex), Family::ipv4);
  REQUIRE(destination);
  CHECK(destination->observed.active_connections == 65536);
  CHECK(destination->observed.inactive_connections == 2 * 65536);
  CHECK(destination->observed.persistent_connections == 4294967295);
}

TEST_CASE("what is encoded decodes to the same") {
  Batch batch(7);
  VirtualServer server{tcp("10.96.0.1", 443), "mh", flag_persistent | flag_sched2, 60, 24};
  encode_virtual_server(batch, 30, Verb::add, server);
  const DestinationOf of{{ip("fd00::1"), Protocol::sctp, Port{2905}, 0},
                         {{ip("fd00:1::2"), Port{2906}}, ForwardMethod::tunnel, 9, 3, 2}};
  encode_destination(batch, 30, Verb::set, of);
  server.key = {IpAddress::any(Family::ipv4), Protocol::none, Port{}, 99};
  encode_virtual_server(batch, 30, Verb::set, server);
  batch.finish(NLM_F_ACK);
  CHECK(batch.count() == 3);

  MessageCursor messages(batch.bytes());
  const auto first = messages.next();
  CHECK(first->header.nlmsg_seq == 7);
  CHECK((first->header.nlmsg_flags & NLM_F_ACK) == 0);
  const auto decoded = decode_virtual_server(first->payload);
  REQUIRE(decoded);
  CHECK(decoded->server == VirtualServer{tcp("10.96.0.1", 443), "mh", flag_persistent | flag_sched2, 60, 24});
  const auto second = messages.next();
  CHECK(decode_destination(second->payload, Family::ipv4)->observed.destination == of.destination);
  const auto third = messages.next();
  CHECK(third->header.nlmsg_seq == 9);
  CHECK((third->header.nlmsg_flags & NLM_F_ACK) != 0);  // on the last one only
  CHECK(decode_virtual_server(third->payload)->server.key.fwmark == 99);
  CHECK_FALSE(messages.next());
  CHECK_FALSE(messages.malformed());
}

TEST_CASE("truncated and scrambled messages are refused or read, never more") {
  std::mt19937 random(1);
  for (const auto& hex : {captured_server_ipv4, captured_server_fwmark, captured_destination, captured_timeouts,
                          captured_address_ipv4, captured_address_ipv6}) {
    const auto whole = bytes_of_hex(hex);
    const auto read_all = [](Bytes bytes) {
      (void)decode_virtual_server(bytes);
      (void)decode_destination(bytes, Family::ipv6);
      (void)decode_timeouts(bytes);
      (void)decode_address(bytes);
      (void)decode_link(bytes);
      MessageCursor messages(bytes);
      while (const auto message = messages.next()) (void)error_of(*message);
    };
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // A copy of exactly this size, so that a sanitizer sees the end.
      const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      read_all(cut);
    }
    for (int i = 0; i < 2000; ++i) {
      auto scrambled = whole;
      for (unsigned n = random() % 8 + 1; n > 0; --n)
        scrambled[random() % scrambled.size()] = static_cast<std::uint8_t>(random());
      read_all(scrambled);
    }
  }
  CHECK_FALSE(decode_virtual_server({}));
  CHECK_FALSE(decode_destination({}, Family::ipv4));
  CHECK_FALSE(decode_address({}));
}

TEST_CASE("the code of an answer is a known kind of number, whatever the answer says") {
  const auto code = [](std::int32_t error) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&error);
    return error_of({{}, Bytes(bytes, sizeof error)});
  };
  CHECK(code(0) == 0);
  CHECK(code(-ENOENT) == ENOENT);
  CHECK(code(12) == 0);  // NLMSG_DONE of some dumps carries a length
  CHECK(code(-IPSET_ERR_HASH_FULL) == IPSET_ERR_HASH_FULL);
  CHECK(code(-0x10000) == EPROTO);
  CHECK(code(std::numeric_limits<std::int32_t>::min()) == EPROTO);
}

TEST_CASE("routes are ours by their protocol, and read whole or not at all") {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 16;
  header.rtm_table = RT_TABLE_LOCAL;
  header.rtm_protocol = route_protocol;
  header.rtm_type = RTN_LOCAL;
  const auto message = [](const rtmsg& with, const std::vector<std::pair<std::uint16_t, std::string>>& addresses) {
    Batch batch(1);
    batch.begin(RTM_NEWROUTE, 0, with);
    for (const auto& [type, text] : addresses) batch.attribute(type, ip(text).bytes());
    batch.finish(0);
    const auto bytes = batch.bytes().subspan(NLMSG_HDRLEN);
    return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
  };
  const auto whole = message(header, {{RTA_DST, "10.96.0.0"}, {RTA_PREFSRC, "192.168.77.2"}});
  CHECK(decode_route(whole)->value() == LocalRoute{*Cidr::parse("10.96.0.0/16"), ip("192.168.77.2")});
  CHECK(decode_route(message(header, {{RTA_DST, "10.96.0.0"}}))->value() ==
        LocalRoute{*Cidr::parse("10.96.0.0/16"), {}});
  for (std::size_t size = 0; size < whole.size(); ++size) (void)decode_route(Bytes(whole).first(size));
  CHECK_FALSE(decode_route(Bytes(whole).first(whole.size() - 1)));
  CHECK_FALSE(decode_route({}));
  CHECK_FALSE(decode_route(message(header, {{RTA_DST, "fd00::"}})).value_or(std::nullopt) ==
              LocalRoute{*Cidr::parse("10.96.0.0/16"), {}});
  auto other = header;
  other.rtm_protocol = RTPROT_KERNEL;
  CHECK_FALSE(*decode_route(message(other, {{RTA_DST, "10.96.0.0"}})));
  other = header;
  other.rtm_type = RTN_UNICAST;
  CHECK_FALSE(*decode_route(message(other, {{RTA_DST, "10.96.0.0"}})));
  other = header;
  other.rtm_dst_len = 33;
  CHECK_FALSE(decode_route(message(other, {{RTA_DST, "10.96.0.0"}})));
}

TEST_CASE("links say what they are") {
  Batch batch(1);
  ifinfomsg header{};
  header.ifi_index = 9;
  batch.begin(RTM_NEWLINK, 0, header);
  batch.attribute(IFLA_IFNAME, std::string_view("kube-ipvs0"));
  const auto info = batch.begin_nested(IFLA_LINKINFO);
  batch.attribute(IFLA_INFO_KIND, std::string_view("dummy"));
  batch.end_nested(info);
  batch.finish(0);
  MessageCursor messages(batch.bytes());
  CHECK(decode_link(messages.next()->payload) == Link{9, "kube-ipvs0", "dummy"});
}

TEST_CASE("members of a set are read from its listing, and never from half of it") {
  const IpSet set{SetKind::cluster_ip, Family::ipv4};
  const auto entry = ip_port_entry(set, ip("10.96.0.1"), Protocol::tcp, Port{443});
  Batch batch(1);
  nl::begin_set_message(batch, IPSET_CMD_LIST, 0, set.family, set.name());
  const auto list = batch.begin_nested(IPSET_ATTR_ADT);
  for (int i = 0; i < 2; ++i) nl::encode_entry(batch, Verb::add, entry);
  batch.end_nested(list);
  batch.finish(0);
  MessageCursor messages(batch.bytes());
  const auto payload = messages.next()->payload;

  std::vector<SetEntry> found;
  const auto visit = [&](const SetEntry& member) { found.push_back(member); };
  REQUIRE(decode_members(payload, set, visit));
  CHECK(found == std::vector{entry, entry});
  // An address of the other family is no address of this set.
  CHECK_FALSE(decode_members(payload, {SetKind::cluster_ip, Family::ipv6}, visit));

  std::mt19937 random(7);
  for (std::size_t size = 0; size < payload.size(); ++size) (void)decode_members(payload.first(size), set, visit);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::uint8_t> scrambled(payload.begin(), payload.end());
    for (unsigned n = random() % 8 + 1; n > 0; --n)
      scrambled[random() % scrambled.size()] = static_cast<std::uint8_t>(random());
    (void)decode_members(scrambled, set, visit);
  }
  CHECK_FALSE(decode_members({}, set, visit));
}
