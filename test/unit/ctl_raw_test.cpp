#include <catch2/catch.hpp>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/rtnetlink.h>

#include "captured.hpp"
#include "ctl/raw_capture.hpp"
#include "ctl/raw_decode.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

std::vector<std::uint8_t> from_hex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

// A message of this type around a captured payload.
std::vector<std::uint8_t> message(std::uint16_t type, std::string_view payload, std::uint16_t flags = NLM_F_MULTI) {
  const auto body = from_hex(payload);
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = 7;
  std::vector<std::uint8_t> result(header.nlmsg_len);
  std::memcpy(result.data(), &header, sizeof header);
  std::copy(body.begin(), body.end(), result.begin() + sizeof header);
  return result;
}

constexpr std::uint16_t ipvs_id = 29;

std::string decoded(NetlinkProtocol protocol, nl::Bytes bytes) {
  RawDecoder decoder;
  decoder.learn(ipvs_id, "IPVS");
  return decoder.decode(protocol, bytes);
}

bool has(const std::string& text, std::string_view line) {
  const bool found = text.find(line) != std::string::npos;
  if (!found) UNSCOPED_INFO(text);
  return found;
}

}  // namespace

TEST_CASE("a virtual server, field by field") {
  const auto text = decoded(NetlinkProtocol::generic, message(ipvs_id, test::captured_server_ipv4));
  CHECK(has(text, "message 1: NETLINK_GENERIC, IPVS IPVS_CMD_NEW_SERVICE\n"));
  CHECK(has(text, "  0004  nlmsg_type                      length     2  1d00  29 IPVS IPVS_CMD_NEW_SERVICE\n"));
  CHECK(has(text, "  0006  nlmsg_flags                     length     2  0200  NLM_F_MULTI\n"));
  CHECK(has(text, "  0010  genl cmd                        length     1  01  1 IPVS_CMD_NEW_SERVICE\n"));
  CHECK(has(text, "  0014  IPVS_CMD_ATTR_SERVICE           type     1  length   340  nested\n"));
  CHECK(has(text, "  0018    IPVS_SVC_ATTR_AF              type     1  length     6  0200  2 AF_INET\n"));
  CHECK(has(text,
            "IPVS_SVC_ATTR_ADDR            type     3  length    20  0a600001000000000000000000000000  10.96.0.1\n"));
  CHECK(has(text, "IPVS_SVC_ATTR_PORT            type     4  length     6  01bb  443\n"));
  CHECK(has(text, "IPVS_SVC_ATTR_SCHED_NAME      type     6  length     7  736800  \"sh\"\n"));
  CHECK(has(text, "flags 0x3 mask 0xffffffff\n"));
  CHECK(has(text, "      IPVS_STATS_ATTR_CONNS       type     1  length    12  0000000000000000  0\n"));
}

TEST_CASE("addresses, and what is in no table") {
  const auto address = message(RTM_NEWADDR, test::captured_address_ipv4);
  const auto text = decoded(NetlinkProtocol::route, address);
  CHECK(has(text, "ifa_prefixlen                   length     1  20  32\n"));
  CHECK(has(text, "IFA_LOCAL                       type     2  length     8  0a600001  10.96.0.1\n"));
  CHECK(has(text, "\"kube-ipvs0\"\n"));
  CHECK(has(decoded(NetlinkProtocol::generic, message(99, "010100000800630001020304")),
            "generic netlink, family unknown"));
  CHECK(has(decoded(NetlinkProtocol::generic, message(ipvs_id, "010100000800630001020304")),
            "  0014  attribute                       type    99  length     8  01020304\n"));
}

TEST_CASE("a set") {
  std::string hex;
  for (const auto* part :
       {"02000000", "05000100", "06000000", "1400",     "0200",    "4b5542452d434c55535445522d495000",
        "05000500", "02000000", "0c00",     "0780",     "0800",    "1340",
        "00010000", "2400",     "0880",     "2000",     "0780",    "0c00",
        "0180",     "0800",     "0140",     "0a600001", "0600",    "0440",
        "0050",     "0000",     "0500",     "0700",     "06000000"})
    hex += part;
  const auto text = decoded(NetlinkProtocol::unknown, message(0x0607, hex));
  CHECK(has(text, "message 1: NETLINK_NETFILTER, IPSET_CMD_LIST\n"));
  CHECK(has(text, "\"KUBE-CLUSTER-IP\"\n"));
  CHECK(has(text, "  IPSET_ATTR_MAXELEM            type    19  length     8  00010000  65536\n"));
  CHECK(has(text, "      IPSET_ATTR_IPADDR_IPV4    type     1  length     8  0a600001  10.96.0.1\n"));
  CHECK(has(text, "    IPSET_ATTR_PORT             type     4  length     6  0050  80\n"));
  CHECK(has(text, "    IPSET_ATTR_PROTO            type     7  length     5  06  6 TCP\n"));
}

TEST_CASE("errors and acknowledgements") {
  // -ENOENT for a message of sequence 9, with the kernel's words.
  const auto refused = message(NLMSG_ERROR,
                               "feffffff"
                               "20000000"
                               "1d000500"
                               "09000000"
                               "00000000"
                               "0a000100"
                               "6e6f7065"
                               "00000000",
                               NLM_F_CAPPED | NLM_F_ACK_TLVS);
  const auto text = decoded(NetlinkProtocol::generic, refused);
  CHECK(has(text, "feffffff  -2 ENOENT\n"));
  CHECK(has(text, "nlmsg_seq 9, IPVS"));
  CHECK(has(text, "NLMSGERR_ATTR_MSG"));
  CHECK(has(decoded(NetlinkProtocol::generic, message(NLMSG_DONE, "00000000")), "0, the end of a dump\n"));
}

TEST_CASE("the protocol is guessed, and families are learnt from nlctrl") {
  RawDecoder decoder;
  const auto family = message(GENL_ID_CTRL,
                              "01020000"
                              "06000100"
                              "1d000000"
                              "09000200"
                              "49505653"
                              "00000000",
                              0);
  CHECK(has(decoder.decode(NetlinkProtocol::generic, family), "\"IPVS\""));
  CHECK(has(decoder.decode(NetlinkProtocol::unknown, message(ipvs_id, test::captured_server_ipv4)),
            "message 2: NETLINK_GENERIC, IPVS IPVS_CMD_NEW_SERVICE\n"));
  CHECK(has(decoder.decode(NetlinkProtocol::unknown, message(RTM_NEWADDR, test::captured_address_ipv6)),
            "NETLINK_ROUTE, RTM_NEWADDR\n"));
  CHECK(decoder.count() == 3);
}

TEST_CASE("what is cut or scrambled is said, and every byte is read within bounds") {
  const auto whole = message(ipvs_id, test::captured_destination);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // A copy of just this size, for the sanitizer.
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto text = decoded(NetlinkProtocol::generic, cut);
    CHECK((size == 0 || text.find("malformed") != std::string::npos));
  }
  auto overlong = whole;
  overlong[20] = 0xff;  // the length of IPVS_CMD_ATTR_DEST
  overlong[21] = 0xff;
  CHECK(has(decoded(NetlinkProtocol::generic, overlong), "  0014  malformed: 380 bytes are no attribute: ffff0200"));
}

TEST_CASE("captures are read as they are written") {
  const auto server = message(ipvs_id, test::captured_server_ipv4);
  const auto address = message(RTM_NEWADDR, test::captured_address_ipv4);
  const auto file = capture_head() + capture_record(NetlinkProtocol::generic, true, server) +
                    capture_record(NetlinkProtocol::route, false, address);
  const nl::Bytes bytes(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
  std::vector<std::pair<NetlinkProtocol, std::vector<std::uint8_t>>> found;
  const auto visit = [&](NetlinkProtocol protocol, nl::Bytes datagram) {
    found.emplace_back(protocol, std::vector<std::uint8_t>(datagram.begin(), datagram.end()));
  };
  REQUIRE(read_capture(bytes, visit));
  REQUIRE(found.size() == 2);
  CHECK(found[0] == std::pair(NetlinkProtocol::generic, server));
  CHECK(found[1] == std::pair(NetlinkProtocol::route, address));
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto read = read_capture(bytes.first(size), visit);
    const bool between = size == capture_head().size() || size == file.size() - 16 - 16 - address.size();
    CHECK(read.has_value() == between);
  }
  found.clear();
  CHECK(read_capture(server, visit));
  CHECK(found.at(0) == std::pair(NetlinkProtocol::unknown, server));
}
