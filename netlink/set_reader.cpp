#include "netlink/set_reader.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <fmt/format.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

namespace ipvsd::nl {
namespace {

std::optional<IpAddress> decode_ip(Bytes payload, Family family) {
  AttributeCursor cursor(payload);
  const std::uint16_t wanted = family == Family::ipv4 ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6;
  while (const auto attribute = cursor.next())
    if (attribute->type == wanted)
      if (const auto address = IpAddress::from_bytes(family, attribute->payload)) return *address;
  return {};
}

std::optional<SetEntry> decode_entry(Bytes payload, IpSet set) {
  SetEntry entry;
  std::optional<IpAddress> first;
  std::optional<IpAddress> second;
  AttributeCursor cursor(payload);
  while (const auto attribute = cursor.next()) switch (attribute->type) {
      case IPSET_ATTR_IP: first = decode_ip(attribute->payload, set.family); break;
      case IPSET_ATTR_IP2: second = decode_ip(attribute->payload, set.family); break;
      case IPSET_ATTR_PORT: entry.port.number = ntohs(load<std::uint16_t>(attribute->payload).value_or(0)); break;
      case IPSET_ATTR_PROTO:
        entry.protocol = static_cast<Protocol>(load<std::uint8_t>(attribute->payload).value_or(0));
        break;
      case IPSET_ATTR_SKBMARK:  // the value in the upper half, big endian
        if (const auto mark = load<std::uint64_t>(attribute->payload))
          entry.mark = {static_cast<std::uint32_t>(be64toh(*mark) >> 32), static_cast<std::uint32_t>(be64toh(*mark))};
        break;
      case IPSET_ATTR_CIDR2: entry.prefix = load<std::uint8_t>(attribute->payload).value_or(0); break;
      default: break;
    }
  if (cursor.malformed()) return {};
  switch (set.type()) {
    case SetType::bitmap_port: return bitmap_entry(set, entry.port);
    case SetType::hash_ip: return first ? std::optional(ip_entry(set, *first)) : std::nullopt;
    case SetType::hash_ip_port:
      if (!first) return {};
      if (set.carries_marks()) return outside_entry(*first, entry.protocol, entry.port, entry.mark);
      return ip_port_entry(set, *first, entry.protocol, entry.port);
    case SetType::hash_ip_port_ip:
      if (!first || !second) return {};
      return ip_port_ip_entry(set, *first, entry.protocol, entry.port, *second);
    case SetType::hash_ip_port_net:
      if (!first || !second) return {};
      return ip_port_net_entry(set, *first, entry.protocol, entry.port,
                               Cidr::of(*second, entry.prefix == 0 ? second->max_prefix() : entry.prefix));
  }
  return {};
}

}  // namespace

Result<void> decode_members(Bytes payload, IpSet set, const std::function<void(const SetEntry&)>& visit) {
  const auto malformed = [&] {
    return fail(Errc::malformed, fmt::format("ipset {}: a listing's attributes do not fit", set.name()));
  };
  if (payload.size() < sizeof(nfgenmsg)) return malformed();
  AttributeCursor cursor(payload.subspan(sizeof(nfgenmsg)));
  while (const auto attribute = cursor.next()) {
    if (attribute->type != IPSET_ATTR_ADT) continue;
    AttributeCursor entries(attribute->payload);
    while (const auto entry = entries.next()) {
      if (entry->type != IPSET_ATTR_DATA) continue;
      const auto decoded = decode_entry(entry->payload, set);
      if (!decoded) return malformed();
      visit(*decoded);
    }
    if (entries.malformed()) return malformed();
  }
  if (cursor.malformed()) return malformed();
  return {};
}

Result<SetReader> SetReader::open() {
  auto socket = Socket::open(NETLINK_NETFILTER, "ipset");
  if (!socket) return fail(socket.error());
  return SetReader(std::move(*socket));
}

Result<bool> SetReader::next(IpSet set, std::size_t enough, std::vector<SetEntry>& into) {
  if (open_ && open_ != set)
    if (const auto ended = drain(); !ended) return fail(ended.error());
  if (!open_) {
    batch_.reset(socket_.next_sequence());
    batch_.begin(static_cast<std::uint16_t>(NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST), NLM_F_DUMP,
                 nfgenmsg{static_cast<std::uint8_t>(to_af(set.family)), NFNETLINK_V0, 0});
    const std::uint8_t protocol = IPSET_PROTOCOL;
    batch_.attribute(IPSET_ATTR_PROTOCOL, bytes_of(protocol));
    batch_.attribute(IPSET_ATTR_SETNAME, set.name());
    if (const auto asked = socket_.ask(batch_); !asked) return fail(asked.error());
    open_ = set;
  }
  const std::size_t target = into.size() + enough;
  while (open_ && into.size() < target)
    if (const auto read = read_piece(set, into); !read)
      return fail(read.error().within(fmt::format("list {}", set.name())));
  return open_.has_value();
}

Result<bool> SetReader::read_piece(IpSet set, std::vector<SetEntry>& into) {
  Result<void> decoded;
  const auto more = socket_.next_answer(batch_, [&](const Message& message) {
    const auto read = decode_members(message.payload, set, [&](const SetEntry& entry) { into.push_back(entry); });
    if (!read && decoded) decoded = read;
  });
  if (!more || !*more) open_.reset();
  if (more && !decoded) return fail(decoded.error());
  return more;
}

// A dump that nobody wants to the end would keep the socket busy.
Result<void> SetReader::drain() {
  std::vector<SetEntry> dropped;
  while (open_)
    if (const auto read = read_piece(*open_, dropped); !read && open_) return fail(read.error());
  return {};
}

}  // namespace ipvsd::nl
