#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <catch2/catch.hpp>

#include <random>

#include "netlink/conntrack.hpp"
#include "test/unit/captured.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::nl;
using namespace ipvsd::test;

namespace {

// The payload of the first attribute of this type; what is absent is empty.
Bytes attribute(Bytes bytes, std::uint16_t type) {
  AttributeCursor cursor(bytes);
  while (const auto found = cursor.next())
    if (found->type == type) return found->payload;
  return {};
}

Bytes attributes(const Message& message) { return message.payload.subspan(sizeof(nfgenmsg)); }

std::vector<std::uint8_t> vector_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
using Octets = std::vector<std::uint8_t>;

}  // namespace

TEST_CASE("flows through IPVS as the kernel shows them: answered by the destination") {
  const auto v4 = decode_flow(bytes_of_hex(captured_flow_ipv4));
  REQUIRE(v4);
  REQUIRE(*v4);
  Flow expected = flow("10.244.1.100", 4000, "10.96.0.10", 53, "10.244.1.11", 5353);
  expected.id = 0xddee7c19;
  CHECK(**v4 == expected);
  CHECK((*v4)->to_string() == "UDP 10.244.1.100:4000 -> 10.96.0.10:53, answered by 10.244.1.11:5353");

  const auto v6 = decode_flow(bytes_of_hex(captured_flow_ipv6));
  REQUIRE(v6);
  REQUIRE(*v6);
  expected = flow("fd00:10:244:1::100", 4000, "fd00::10", 53, "fd00:10:244:1::12", 5353);
  expected.id = 0xaea44f92;
  CHECK(**v6 == expected);
}

TEST_CASE("an entry of a protocol or family that no Service has is none of ours") {
  const auto icmp = decode_flow(bytes_of_hex(captured_flow_icmp));
  REQUIRE(icmp);
  CHECK_FALSE(icmp->has_value());
  auto other = bytes_of_hex(captured_flow_ipv4);
  other[0] = 7;  // AF_BRIDGE
  REQUIRE(decode_flow(other));
  CHECK_FALSE(decode_flow(other)->has_value());
}

TEST_CASE("truncated, overlong and scrambled entries are refused or read, never more") {
  std::mt19937 random(1);
  for (const auto& hex : {captured_flow_ipv4, captured_flow_ipv6, captured_flow_icmp}) {
    const auto whole = bytes_of_hex(hex);
    for (std::size_t size = 0; size < whole.size(); ++size)
      (void)decode_flow(std::vector<std::uint8_t>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    for (int i = 0; i < 2000; ++i) {
      auto scrambled = whole;
      for (unsigned n = random() % 8 + 1; n > 0; --n)
        scrambled[random() % scrambled.size()] = static_cast<std::uint8_t>(random());
      (void)decode_flow(scrambled);
    }
  }
  CHECK_FALSE(decode_flow({}));
  const auto whole = bytes_of_hex(captured_flow_ipv4);
  // An address of two bytes; a nested length beyond the attribute; an entry without its reply.
  auto wrong = whole;
  wrong[12] = 6;
  CHECK_FALSE(decode_flow(wrong));
  wrong = whole;
  wrong[8] = 0xff;
  CHECK_FALSE(decode_flow(wrong));
  CHECK_FALSE(decode_flow(std::vector<std::uint8_t>(whole.begin(), whole.begin() + 4 + 0x34)));
  // Later kernels may append attributes.
  auto longer = whole;
  for (const auto byte : Octets{8, 0, 99, 0, 1, 2, 3, 4}) longer.push_back(byte);
  REQUIRE(decode_flow(longer));
  CHECK(decode_flow(longer)->has_value());
}

TEST_CASE("zones are read, and name the entry when it is deleted") {
  auto bytes = bytes_of_hex(captured_flow_ipv4);
  for (const auto byte : Octets{6, 0, 18, 0, 1, 2, 0, 0}) bytes.push_back(byte);  // CTA_ZONE 0x102
  const auto read = decode_flow(bytes);
  REQUIRE(read);
  REQUIRE(*read);
  CHECK((*read)->zone == 0x102);
  Flow zoned = **read;
  zoned.original.zone = 9;
  Batch batch(1);
  encode_delete_flow(batch, zoned);
  batch.finish(0);
  MessageCursor messages(batch.bytes());
  const auto message = messages.next();
  REQUIRE(message);
  CHECK(message->header.nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE));
  CHECK(vector_of(attribute(attributes(*message), CTA_ZONE)) == Octets{1, 2});
  CHECK(vector_of(attribute(attributes(*message), CTA_ID)) == Octets{0xdd, 0xee, 0x7c, 0x19});
  CHECK(vector_of(attribute(attribute(attributes(*message), CTA_TUPLE_ORIG), CTA_TUPLE_ZONE)) == Octets{0, 9});
}

TEST_CASE("a request to delete always names the whole tuple: without one the kernel would flush everything") {
  const auto decoded = decode_flow(bytes_of_hex(captured_flow_ipv4));
  Batch batch(1);
  encode_delete_flow(batch, **decoded);
  batch.finish(0);
  MessageCursor messages(batch.bytes());
  const auto message = messages.next();
  REQUIRE(message);
  const auto sent = attribute(attributes(*message), CTA_TUPLE_ORIG);
  const auto shown = attribute(Bytes(bytes_of_hex(captured_flow_ipv4)).subspan(sizeof(nfgenmsg)), CTA_TUPLE_ORIG);
  CHECK(vector_of(attribute(sent, CTA_TUPLE_IP)).size() == 16);
  CHECK(shown.size() == sent.size());
  CHECK(attribute(attributes(*message), CTA_ZONE).empty());
}

TEST_CASE("a dump asks for what its filter admits") {
  const auto encoded = [](const FlowFilter& filter) {
    Batch batch(1);
    encode_list_flows(batch, filter);
    batch.finish(0);
    MessageCursor messages(batch.bytes());
    const auto message = messages.next();
    REQUIRE(message);
    CHECK((message->header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP);
    const auto flags = attribute(attribute(attributes(*message), CTA_FILTER), CTA_FILTER_ORIG_FLAGS);
    const auto proto = attribute(attribute(attributes(*message), CTA_TUPLE_ORIG), CTA_TUPLE_PROTO);
    const auto addresses = attribute(attribute(attributes(*message), CTA_TUPLE_ORIG), CTA_TUPLE_IP);
    return std::tuple(load<std::uint32_t>(flags), vector_of(attribute(proto, CTA_PROTO_DST_PORT)),
                      vector_of(attribute(addresses, CTA_IP_V4_DST)));
  };
  // Kernels get filtering by IPv6 address wrong.
  CHECK(encoded({Family::ipv6, Protocol::udp, ip("fd00::10"), Port{53}}) == std::tuple(0x28U, Octets{0, 53}, Octets{}));
  CHECK(encoded({Family::ipv4, Protocol::udp, {}, {}}) == std::tuple(0x08U, Octets{}, Octets{}));
  CHECK(encoded({Family::ipv4, Protocol::udp, {}, Port{30053}}) == std::tuple(0x28U, Octets{0x75, 0x65}, Octets{}));
  CHECK(encoded({Family::ipv4, Protocol::udp, ip("10.96.0.10"), Port{53}}) ==
        std::tuple(0x2aU, Octets{0, 53}, Octets{10, 96, 0, 10}));
}
