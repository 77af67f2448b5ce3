#include "netlink/ipvs_codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "netlink/attribute_table.hpp"

namespace ipvsd::nl {
namespace {

// The records as they lie in the messages; the tables below and the conversions at the end are all there is to know.
struct WireServer {
  std::uint16_t af = AF_INET;
  std::uint16_t protocol = 0;
  RawAddress address{};
  BigEndian16 port;
  std::uint32_t fwmark = 0;
  std::string_view scheduler;
  FlagsAndMask flags;
  std::uint32_t timeout = 0;
  std::uint32_t netmask = 0;  // IPv4: a mask in network order; IPv6: a prefix length
  std::string_view persistence_engine;
  Bytes statistics;
};

struct WireDestination {
  RawAddress address{};
  BigEndian16 port;
  std::uint32_t method = 0;
  std::uint32_t weight = 0;
  std::uint32_t upper_threshold = 0;
  std::uint32_t lower_threshold = 0;
  std::uint32_t active = 0;
  std::uint32_t inactive = 0;
  std::uint32_t persistent = 0;
  std::uint16_t af = AF_UNSPEC;
  std::uint8_t tunnel_type = 0;
  BigEndian16 tunnel_port;
  std::uint16_t tunnel_flags = 0;
  Bytes statistics;
};

bool decode_field(Bytes payload, Bytes& field) {
  field = payload;
  return true;
}

template <auto Member, class Record>
constexpr AttributeRow<Record> nested(std::uint16_t type, std::string_view name) {
  return {type, name, Use::observed, [](Batch&, std::uint16_t, const Record&) {},
          [](Bytes payload, Record& record) { return decode_field(payload, record.*Member); }};
}

#define ROW(record, type, member, use) row<&record::member, record>(type, #type, Use::use)
constexpr std::array server_address_table{
    ROW(WireServer, IPVS_SVC_ATTR_AF, af, key),
    ROW(WireServer, IPVS_SVC_ATTR_PROTOCOL, protocol, key),
    ROW(WireServer, IPVS_SVC_ATTR_ADDR, address, key),
    ROW(WireServer, IPVS_SVC_ATTR_PORT, port, key),
    ROW(WireServer, IPVS_SVC_ATTR_SCHED_NAME, scheduler, value),
    ROW(WireServer, IPVS_SVC_ATTR_FLAGS, flags, value),
    ROW(WireServer, IPVS_SVC_ATTR_TIMEOUT, timeout, value),
    ROW(WireServer, IPVS_SVC_ATTR_NETMASK, netmask, value),
    ROW(WireServer, IPVS_SVC_ATTR_FWMARK, fwmark, observed),
    ROW(WireServer, IPVS_SVC_ATTR_PE_NAME, persistence_engine, observed),
    nested<&WireServer::statistics, WireServer>(IPVS_SVC_ATTR_STATS64, "IPVS_SVC_ATTR_STATS64"),
};
// A firewall mark takes the place of protocol, address and port; the kernel looks at it first.
constexpr std::array server_fwmark_table{
    ROW(WireServer, IPVS_SVC_ATTR_AF, af, key),
    ROW(WireServer, IPVS_SVC_ATTR_FWMARK, fwmark, key),
    ROW(WireServer, IPVS_SVC_ATTR_SCHED_NAME, scheduler, value),
    ROW(WireServer, IPVS_SVC_ATTR_FLAGS, flags, value),
    ROW(WireServer, IPVS_SVC_ATTR_TIMEOUT, timeout, value),
    ROW(WireServer, IPVS_SVC_ATTR_NETMASK, netmask, value),
};
constexpr std::array destination_table{
    ROW(WireDestination, IPVS_DEST_ATTR_ADDR_FAMILY, af, key),
    ROW(WireDestination, IPVS_DEST_ATTR_ADDR, address, key),
    ROW(WireDestination, IPVS_DEST_ATTR_PORT, port, key),
    ROW(WireDestination, IPVS_DEST_ATTR_FWD_METHOD, method, value),
    ROW(WireDestination, IPVS_DEST_ATTR_WEIGHT, weight, value),
    ROW(WireDestination, IPVS_DEST_ATTR_U_THRESH, upper_threshold, value),
    ROW(WireDestination, IPVS_DEST_ATTR_L_THRESH, lower_threshold, value),
    ROW(WireDestination, IPVS_DEST_ATTR_ACTIVE_CONNS, active, observed),
    ROW(WireDestination, IPVS_DEST_ATTR_INACT_CONNS, inactive, observed),
    ROW(WireDestination, IPVS_DEST_ATTR_PERSIST_CONNS, persistent, observed),
    ROW(WireDestination, IPVS_DEST_ATTR_TUN_TYPE, tunnel_type, observed),
    ROW(WireDestination, IPVS_DEST_ATTR_TUN_PORT, tunnel_port, observed),
    ROW(WireDestination, IPVS_DEST_ATTR_TUN_FLAGS, tunnel_flags, observed),
    nested<&WireDestination::statistics, WireDestination>(IPVS_DEST_ATTR_STATS64, "IPVS_DEST_ATTR_STATS64"),
};
constexpr std::array statistics_table{
    ROW(Statistics, IPVS_STATS_ATTR_CONNS, connections, observed),
    ROW(Statistics, IPVS_STATS_ATTR_INPKTS, in_packets, observed),
    ROW(Statistics, IPVS_STATS_ATTR_OUTPKTS, out_packets, observed),
    ROW(Statistics, IPVS_STATS_ATTR_INBYTES, in_bytes, observed),
    ROW(Statistics, IPVS_STATS_ATTR_OUTBYTES, out_bytes, observed),
    ROW(Statistics, IPVS_STATS_ATTR_CPS, connection_rate, observed),
    ROW(Statistics, IPVS_STATS_ATTR_INPPS, in_packet_rate, observed),
    ROW(Statistics, IPVS_STATS_ATTR_OUTPPS, out_packet_rate, observed),
    ROW(Statistics, IPVS_STATS_ATTR_INBPS, in_byte_rate, observed),
    ROW(Statistics, IPVS_STATS_ATTR_OUTBPS, out_byte_rate, observed),
};
struct WireTimeouts {
  std::uint32_t tcp = 0;
  std::uint32_t tcp_fin = 0;
  std::uint32_t udp = 0;
};
constexpr std::array timeouts_table{
    ROW(WireTimeouts, IPVS_CMD_ATTR_TIMEOUT_TCP, tcp, value),
    ROW(WireTimeouts, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, tcp_fin, value),
    ROW(WireTimeouts, IPVS_CMD_ATTR_TIMEOUT_UDP, udp, value),
};
#undef ROW

RawAddress raw(const IpAddress& address) {
  RawAddress bytes{};
  std::copy(address.bytes().begin(), address.bytes().end(), bytes.begin());
  return bytes;
}

std::uint32_t netmask_of(Family family, std::uint8_t prefix) {
  if (family == Family::ipv6) return prefix;
  return prefix == 0 ? 0 : htonl(~0U << (32 - prefix));
}

WireServer wire_key(const VirtualServerKey& key) {
  WireServer wire;
  wire.af = static_cast<std::uint16_t>(to_af(key.family()));
  wire.protocol = static_cast<std::uint16_t>(key.protocol);
  wire.address = raw(key.address);
  wire.port.value = key.port.number;
  wire.fwmark = key.fwmark;
  return wire;
}

void encode_server(Batch& batch, const WireServer& wire, bool whole) {
  const auto start = batch.begin_nested(IPVS_CMD_ATTR_SERVICE);
  if (wire.fwmark != 0) {
    encode_record<server_fwmark_table>(batch, wire, whole);
  } else {
    encode_record<server_address_table>(batch, wire, whole);
  }
  batch.end_nested(start);
}

void begin(Batch& batch, std::uint16_t family_id, std::uint8_t command, std::uint16_t flags = 0) {
  batch.begin(family_id, flags, genlmsghdr{command, IPVS_GENL_VERSION, 0});
}

std::uint8_t command_of(Verb verb, std::uint8_t add, std::uint8_t set, std::uint8_t remove) {
  return verb == Verb::add ? add : verb == Verb::set ? set : remove;
}

// The one attribute of type `type` at the top of a generic netlink answer.
Result<Bytes> top_attribute(Bytes payload, std::uint16_t type, std::string_view what) {
  if (payload.size() >= GENL_HDRLEN) {
    AttributeCursor cursor(payload.subspan(GENL_HDRLEN));
    while (const auto attribute = cursor.next())
      if (attribute->type == type) return attribute->payload;
  }
  return fail(Errc::malformed, fmt::format("ipvs: an answer of {} bytes has no {}", payload.size(), what));
}

Result<IpAddress> address_of(std::uint16_t af, const RawAddress& bytes) {
  const auto family = family_of_af(af);
  if (!family) return fail(Errc::malformed, fmt::format("ipvs: address family {}", af));
  return IpAddress::from_bytes(*family, bytes);
}

}  // namespace

void encode_virtual_server(Batch& batch, std::uint16_t family_id, Verb verb, const VirtualServer& server) {
  begin(batch, family_id, command_of(verb, IPVS_CMD_NEW_SERVICE, IPVS_CMD_SET_SERVICE, IPVS_CMD_DEL_SERVICE));
  WireServer wire = wire_key(server.key);
  wire.scheduler = server.scheduler;
  wire.flags.flags = server.flags;
  wire.timeout = server.timeout;
  wire.netmask = netmask_of(server.key.family(), server.client_prefix);
  encode_server(batch, wire, verb != Verb::remove);
}

void encode_destination(Batch& batch, std::uint16_t family_id, Verb verb, const DestinationOf& of) {
  begin(batch, family_id, command_of(verb, IPVS_CMD_NEW_DEST, IPVS_CMD_SET_DEST, IPVS_CMD_DEL_DEST));
  encode_server(batch, wire_key(of.server), false);
  const Destination& destination = of.destination;
  WireDestination wire;
  wire.af = static_cast<std::uint16_t>(to_af(destination.key.address.family()));
  wire.address = raw(destination.key.address);
  wire.port.value = destination.key.port.number;
  wire.method = static_cast<std::uint32_t>(destination.method);
  wire.weight = destination.weight;
  wire.upper_threshold = destination.upper_threshold;
  wire.lower_threshold = destination.lower_threshold;
  const auto start = batch.begin_nested(IPVS_CMD_ATTR_DEST);
  encode_record<destination_table>(batch, wire, verb != Verb::remove);
  batch.end_nested(start);
}

void encode_get_virtual_server(Batch& batch, std::uint16_t family_id, const VirtualServerKey& key) {
  begin(batch, family_id, IPVS_CMD_GET_SERVICE);
  encode_server(batch, wire_key(key), false);
}

void encode_dump_virtual_servers(Batch& batch, std::uint16_t family_id) {
  begin(batch, family_id, IPVS_CMD_GET_SERVICE, NLM_F_DUMP);
}

void encode_dump_destinations(Batch& batch, std::uint16_t family_id, const VirtualServerKey& key) {
  begin(batch, family_id, IPVS_CMD_GET_DEST, NLM_F_DUMP);
  encode_server(batch, wire_key(key), false);
}

void encode_set_timeouts(Batch& batch, std::uint16_t family_id, const Timeouts& timeouts) {
  begin(batch, family_id, IPVS_CMD_SET_CONFIG);
  const auto seconds = [](std::chrono::seconds value) { return static_cast<std::uint32_t>(value.count()); };
  encode_record<timeouts_table>(
      batch, WireTimeouts{seconds(timeouts.tcp), seconds(timeouts.tcp_fin), seconds(timeouts.udp)}, true);
}

void encode_get_timeouts(Batch& batch, std::uint16_t family_id) { begin(batch, family_id, IPVS_CMD_GET_CONFIG); }

Result<VirtualServerRecord> decode_virtual_server(Bytes payload) {
  const auto attributes = top_attribute(payload, IPVS_CMD_ATTR_SERVICE, "IPVS_CMD_ATTR_SERVICE");
  if (!attributes) return fail(attributes.error());
  WireServer wire;
  VirtualServerRecord record;
  if (!decode_record(*attributes, server_address_table, wire) ||
      !decode_record(wire.statistics, statistics_table, record.statistics))
    return fail(Errc::malformed, "ipvs: a virtual server's attributes do not fit");
  const auto address = address_of(wire.af, wire.address);
  if (!address) return fail(address.error());
  VirtualServer& server = record.server;
  server.key = wire.fwmark != 0
                   ? VirtualServerKey{IpAddress::any(address->family()), Protocol::none, Port{}, wire.fwmark}
                   : VirtualServerKey{*address, static_cast<Protocol>(wire.protocol), Port{wire.port.value}, 0};
  server.scheduler = wire.scheduler;
  server.flags = wire.flags.flags & ~flag_hashed;
  server.timeout = wire.timeout;
  server.client_prefix = server.key.family() == Family::ipv6 ? static_cast<std::uint8_t>(std::min(wire.netmask, 128U))
                                                             : static_cast<std::uint8_t>(std::popcount(wire.netmask));
  record.client_netmask = server.key.family() == Family::ipv6 ? wire.netmask : ntohl(wire.netmask);
  record.persistence_engine = wire.persistence_engine;
  return record;
}

Result<DestinationRecord> decode_destination(Bytes payload, Family family) {
  const auto attributes = top_attribute(payload, IPVS_CMD_ATTR_DEST, "IPVS_CMD_ATTR_DEST");
  if (!attributes) return fail(attributes.error());
  WireDestination wire;
  DestinationRecord record;
  if (!decode_record(*attributes, destination_table, wire) ||
      !decode_record(wire.statistics, statistics_table, record.statistics))
    return fail(Errc::malformed, "ipvs: a destination's attributes do not fit");
  const auto address =
      address_of(wire.af == AF_UNSPEC ? static_cast<std::uint16_t>(to_af(family)) : wire.af, wire.address);
  if (!address) return fail(address.error());
  Destination& destination = record.observed.destination;
  destination.key = {*address, Port{wire.port.value}};
  destination.method = static_cast<ForwardMethod>(wire.method & IP_VS_CONN_F_FWD_MASK);
  destination.weight = wire.weight;
  destination.upper_threshold = wire.upper_threshold;
  destination.lower_threshold = wire.lower_threshold;
  record.tunnel = {static_cast<TunnelType>(wire.tunnel_type), Port{wire.tunnel_port.value}, wire.tunnel_flags};
  record.observed.active_connections = wire.active;
  record.observed.inactive_connections = wire.inactive;
  record.observed.persistent_connections = wire.persistent;
  return record;
}

Result<Timeouts> decode_timeouts(Bytes payload) {
  WireTimeouts wire;
  if (payload.size() < GENL_HDRLEN || !decode_record(payload.subspan(GENL_HDRLEN), timeouts_table, wire))
    return fail(Errc::malformed, "ipvs: the timeouts' attributes do not fit");
  return Timeouts{std::chrono::seconds(wire.tcp), std::chrono::seconds(wire.tcp_fin), std::chrono::seconds(wire.udp)};
}

}  // namespace ipvsd::nl
