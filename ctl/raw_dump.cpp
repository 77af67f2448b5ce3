#include "ctl/raw_dump.hpp"

#include <fmt/format.h>
#include <linux/genetlink.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/raw_capture.hpp"
#include "ctl/raw_decode.hpp"
#include "netlink/ipvs_codec.hpp"
#include "netlink/links.hpp"
#include "netlink/socket.hpp"
#include "os/file.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::size_t capture_limit = 256U << 20;

// One conversation with one of the kernel's netlinks, told as it goes.
class Conversation {
 public:
  Conversation(nl::Socket socket, NetlinkProtocol protocol, RawDecoder& decoder, bool as_capture, const Output& out)
      : socket_(std::move(socket)), protocol_(protocol), decoder_(decoder), as_capture_(as_capture), out_(out) {}

  static Result<Conversation> open(NetlinkProtocol protocol, RawDecoder& decoder, bool as_capture, const Output& out) {
    const int number = protocol == NetlinkProtocol::route     ? NETLINK_ROUTE
                       : protocol == NetlinkProtocol::generic ? NETLINK_GENERIC
                                                              : NETLINK_NETFILTER;
    auto socket = nl::Socket::open(number, std::string(to_string(protocol)));
    if (!socket) return fail(socket.error());
    return Conversation(std::move(*socket), protocol, decoder, as_capture, out);
  }

  [[nodiscard]] nl::Batch batch() const { return nl::Batch(socket_.next_sequence()); }

  // Sends the request and tells it and each answer for which `wanted` holds.
  Result<void> ask(nl::Batch& request, const std::function<bool(const nl::Message&)>& wanted) {
    request.finish(NLM_F_ACK);
    auto told = tell(true, request.bytes());
    if (!told) return told;
    const auto asked = socket_.query(request, [&](const nl::Message& message) {
      if (told && wanted(message))
        told = tell(false, {message.payload.data() - sizeof(nlmsghdr), message.header.nlmsg_len});
    });
    return told ? asked : told;
  }

 private:
  Result<void> tell(bool outgoing, nl::Bytes bytes) {
    if (as_capture_) return out_(capture_record(protocol_, outgoing, bytes));
    return out_((outgoing ? "request, " : "answer, ") + decoder_.decode(protocol_, bytes));
  }

  nl::Socket socket_;
  NetlinkProtocol protocol_;
  RawDecoder& decoder_;
  bool as_capture_;
  const Output& out_;
};

bool always(const nl::Message&) { return true; }

struct Raw {
  const Selectors& selection;
  bool as_capture;
  const Output& out;
  RawDecoder decoder;

  Result<Conversation> open(NetlinkProtocol protocol) { return Conversation::open(protocol, decoder, as_capture, out); }
  Result<void> ipvs();
  Result<void> addresses();
  Result<void> sets();
};

Result<std::uint16_t> family_id(Conversation& generic) {
  auto request = generic.batch();
  request.begin(GENL_ID_CTRL, 0, genlmsghdr{CTRL_CMD_GETFAMILY, 1, 0});
  request.attribute(CTRL_ATTR_FAMILY_NAME, std::string_view(IPVS_GENL_NAME));
  std::uint16_t id = 0;
  const auto asked = generic.ask(request, [&](const nl::Message& message) {
    nl::AttributeCursor cursor(message.payload.subspan(std::min<std::size_t>(GENL_HDRLEN, message.payload.size())));
    while (const auto attribute = cursor.next())
      if (attribute->type == CTRL_ATTR_FAMILY_ID) id = nl::load<std::uint16_t>(attribute->payload).value_or(0);
    return true;
  });
  if (!asked) return fail(asked.error());
  return id;
}

Result<void> Raw::ipvs() {
  auto generic = open(NetlinkProtocol::generic);
  if (!generic) return fail(generic.error());
  const auto id = family_id(*generic);
  if (!id) return fail(id.error());
  auto request = generic->batch();
  nl::encode_get_timeouts(request, *id);
  if (const auto asked = generic->ask(request, always); !asked) {
    if (asked.error().code == Errc::denied)
      return fail(Errc::denied, "reading IPVS needs root or CAP_NET_ADMIN: try sudo");
    return asked;
  }
  std::vector<VirtualServerKey> keys;
  request = generic->batch();
  nl::encode_dump_virtual_servers(request, *id);
  const auto listed = generic->ask(request, [&](const nl::Message& message) {
    const auto record = nl::decode_virtual_server(message.payload);
    if (!record) return true;  // shown above all
    if (!selection.matches(record->server.key)) return false;
    keys.push_back(record->server.key);
    return true;
  });
  if (!listed) return listed;
  for (const auto& key : keys) {
    request = generic->batch();
    nl::encode_dump_destinations(request, *id, key);
    if (const auto asked = generic->ask(request, always); !asked) return asked;
  }
  return {};
}

Result<void> Raw::addresses() {
  auto route = open(NetlinkProtocol::route);
  if (!route) return fail(route.error());
  auto request = route->batch();
  request.begin(RTM_GETLINK, 0, ifinfomsg{});
  request.attribute(IFLA_IFNAME, ipvs_link_name);
  std::uint32_t index = 0;
  const auto asked = route->ask(request, [&](const nl::Message& message) {
    if (const auto link = nl::decode_link(message.payload)) index = link->index;
    return true;
  });
  if (!asked && asked.error().sys_errno != ENODEV) return asked;
  if (index == 0) return {};
  request = route->batch();
  request.begin(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  return route->ask(request, [&](const nl::Message& message) {
    const auto address = nl::decode_address(message.payload);
    return address && *address && (*address)->index == index && selection.matches((*address)->address);
  });
}

Result<void> Raw::sets() {
  // Asking would load the module.
  if (!selection.everything() || ::access("/sys/module/ip_set", F_OK) != 0) return {};
  auto netfilter = open(NetlinkProtocol::netfilter);
  if (!netfilter) return fail(netfilter.error());
  for (const auto set : all_ip_sets()) {
    auto request = netfilter->batch();
    constexpr std::uint16_t type = NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST;
    request.begin(type, NLM_F_DUMP, nfgenmsg{AF_INET, NFNETLINK_V0, 0});
    const std::uint8_t protocol = IPSET_PROTOCOL_MIN;
    request.attribute(IPSET_ATTR_PROTOCOL, nl::bytes_of(protocol));
    request.attribute(IPSET_ATTR_SETNAME, set.name());
    const auto asked = netfilter->ask(request, always);
    if (!asked && asked.error().code != Errc::not_found) return asked;
  }
  return {};
}

}  // namespace

Result<void> dump_raw(const Selectors& selection, bool as_capture, const Output& out) {
  if (::access("/proc/net/ip_vs", F_OK) != 0)
    return fail(Errc::unsupported, "this kernel has no IPVS, or it is not loaded: try modprobe ip_vs");
  if (as_capture)
    if (const auto written = out(capture_head()); !written) return written;
  Raw raw{selection, as_capture, out, {}};
  if (auto done = raw.ipvs(); !done) return done;
  if (auto done = raw.addresses(); !done) return done;
  return raw.sets();
}

Result<void> decode_capture(const std::string& path, const Output& out) {
  const auto file = read_small_file(path, capture_limit);
  if (!file) return fail(file.error());
  RawDecoder decoder;
  Result<void> written;
  const nl::Bytes bytes(reinterpret_cast<const std::uint8_t*>(file->data()), file->size());
  const auto read = read_capture(bytes, [&](NetlinkProtocol protocol, nl::Bytes datagram) {
    if (written) written = out(decoder.decode(protocol, datagram));
  });
  if (!written) return written;
  if (!read) return fail(read.error().within(path));
  if (decoder.count() == 0) return fail(Errc::malformed, path + ": no netlink message");
  return {};
}

}  // namespace ipvsd::ctl
