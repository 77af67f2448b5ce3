#include "netlink/set_codec.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <fmt/format.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>

namespace ipvsd::nl {
namespace {

constexpr std::uint16_t net_order = NLA_F_NET_BYTEORDER;

void encode_ip(Batch& batch, std::uint16_t type, const IpAddress& address) {
  const auto nested = batch.begin_nested(type);
  const auto of_family = address.family() == Family::ipv4 ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6;
  batch.attribute(static_cast<std::uint16_t>(of_family | net_order), address.bytes());
  batch.end_nested(nested);
}

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

void begin_set_message(Batch& batch, std::uint8_t command, std::uint16_t flags, Family family,
                       std::string_view set_name) {
  batch.begin(static_cast<std::uint16_t>(NFNL_SUBSYS_IPSET << 8 | command), flags,
              nfgenmsg{static_cast<std::uint8_t>(to_af(family)), NFNETLINK_V0, 0});
  const std::uint8_t protocol = IPSET_PROTOCOL;
  batch.attribute(IPSET_ATTR_PROTOCOL, bytes_of(protocol));
  batch.attribute(IPSET_ATTR_SETNAME, set_name);
}

void encode_entry(Batch& batch, Verb verb, const SetEntry& entry) {
  const auto type = entry.set.type();
  const auto nested = batch.begin_nested(IPSET_ATTR_DATA);
  if (type != SetType::bitmap_port) encode_ip(batch, IPSET_ATTR_IP, entry.address);
  if (type != SetType::hash_ip) batch.attribute(IPSET_ATTR_PORT | net_order, bytes_of(htons(entry.port.number)));
  if (entry.protocol != Protocol::none) batch.attribute(IPSET_ATTR_PROTO, bytes_of(entry.protocol));
  if (type == SetType::hash_ip_port_ip || type == SetType::hash_ip_port_net)
    encode_ip(batch, IPSET_ATTR_IP2, entry.second);
  if (type == SetType::hash_ip_port_net) batch.attribute(IPSET_ATTR_CIDR2, bytes_of(entry.prefix));
  if (entry.set.carries_marks() && verb == Verb::add)
    batch.attribute(IPSET_ATTR_SKBMARK | net_order,
                    bytes_of(htobe64(std::uint64_t{entry.mark.value} << 32 | entry.mark.mask)));
  batch.end_nested(nested);
}

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

}  // namespace ipvsd::nl
