#include "ctl/raw_capture.hpp"

#include <fmt/format.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>

namespace ipvsd::ctl {
namespace {

// https://www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html, pcap-savefile(5)
constexpr std::uint32_t magic = 0xa1b2c3d4;       // microseconds
constexpr std::uint32_t magic_nano = 0xa1b23c4d;  // nanoseconds
constexpr std::uint32_t magic_next = 0x0a0d0d0a;  // pcapng
constexpr std::uint32_t link_type_netlink = 253;
constexpr std::uint32_t snapshot_length = 256U << 10;

struct FileHead {
  std::uint32_t magic_number;
  std::uint16_t major;
  std::uint16_t minor;
  std::uint32_t zone;
  std::uint32_t accuracy;
  std::uint32_t snapshot;
  std::uint32_t link_type;
};
struct RecordHead {
  std::uint32_t seconds;
  std::uint32_t fraction;
  std::uint32_t captured;
  std::uint32_t original;
};
// All fields in network order.
struct CookedHead {
  std::uint16_t packet_type;
  std::uint16_t device_type;
  std::uint16_t address_length;
  std::uint8_t address[8];
  std::uint16_t protocol;
};
static_assert(sizeof(CookedHead) == 16);

std::uint32_t ordered(std::uint32_t value, bool swapped) { return swapped ? __builtin_bswap32(value) : value; }

NetlinkProtocol protocol_of(std::uint16_t number) {
  switch (number) {
    case NETLINK_ROUTE: return NetlinkProtocol::route;
    case NETLINK_NETFILTER: return NetlinkProtocol::netfilter;
    case NETLINK_GENERIC: return NetlinkProtocol::generic;
    default: return NetlinkProtocol::unknown;
  }
}

std::uint16_t number_of(NetlinkProtocol protocol) {
  switch (protocol) {
    case NetlinkProtocol::netfilter: return NETLINK_NETFILTER;
    case NetlinkProtocol::generic: return NETLINK_GENERIC;
    default: return NETLINK_ROUTE;
  }
}

template <class T>
std::string as_text(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

Result<void> read_capture(nl::Bytes file, const std::function<void(NetlinkProtocol, nl::Bytes)>& visit) {
  const auto first = nl::load<std::uint32_t>(file);
  if (!first) return fail(Errc::malformed, fmt::format("{} bytes are no capture", file.size()));
  if (*first == magic_next) return fail(Errc::malformed, "this is pcapng; convert it with: editcap -F pcap FILE OTHER");
  const bool swapped = *first == ordered(magic, true) || *first == ordered(magic_nano, true);
  if (!swapped && *first != magic && *first != magic_nano) {
    visit(NetlinkProtocol::unknown, file);
    return {};
  }
  const auto head = nl::load<FileHead>(file);
  if (!head) return fail(Errc::malformed, fmt::format("the head of a pcap file is cut at {} bytes", file.size()));
  // The upper bits say how frames are checked.
  if ((ordered(head->link_type, swapped) & 0xffff) != link_type_netlink)
    return fail(Errc::malformed, fmt::format("pcap of link type {} and not netlink ({}): capture on an nlmon link",
                                             ordered(head->link_type, swapped), link_type_netlink));
  auto rest = file.subspan(sizeof(FileHead));
  while (!rest.empty()) {
    const auto place = file.size() - rest.size();
    const auto record = nl::load<RecordHead>(rest);
    const std::size_t size = record ? ordered(record->captured, swapped) : 0;
    if (!record || size > rest.size() - sizeof(RecordHead) || size < sizeof(CookedHead))
      return fail(Errc::malformed, fmt::format("the packet at byte {:#x} is cut", place));
    const auto packet = rest.subspan(sizeof(RecordHead), size);
    visit(protocol_of(ntohs(nl::load<CookedHead>(packet)->protocol)), packet.subspan(sizeof(CookedHead)));
    rest = rest.subspan(sizeof(RecordHead) + size);
  }
  return {};
}

std::string capture_head() { return as_text(FileHead{magic, 2, 4, 0, 0, snapshot_length, link_type_netlink}); }

std::string capture_record(NetlinkProtocol protocol, bool outgoing, nl::Bytes datagram) {
  CookedHead cooked{};
  cooked.packet_type = htons(outgoing ? PACKET_OUTGOING : PACKET_HOST);
  cooked.device_type = htons(ARPHRD_NETLINK);
  cooked.protocol = htons(number_of(protocol));
  const auto size = static_cast<std::uint32_t>(sizeof cooked + datagram.size());
  std::string text = as_text(RecordHead{0, 0, size, size}) + as_text(cooked);
  return text.append(reinterpret_cast<const char*>(datagram.data()), datagram.size());
}

}  // namespace ipvsd::ctl
