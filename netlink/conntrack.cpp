#include "netlink/conntrack.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <algorithm>
#include <array>

#include "os/modules.hpp"

namespace ipvsd::nl {
namespace {

// CTA_FILTER_ORIG_FLAGS: which parts of CTA_TUPLE_ORIG count. The numbers are the kernel's CTA_FILTER_F_* of
// net/netfilter/nf_internals.h; uapi has no names for them, libnetfilter_conntrack repeats them likewise.
constexpr std::uint32_t filter_ip_destination = 1U << 1;
constexpr std::uint32_t filter_protocol = 1U << 3;
constexpr std::uint32_t filter_destination_port = 1U << 5;

constexpr std::uint16_t message_type(std::uint16_t type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
}

nfgenmsg header_of(Family family) {
  nfgenmsg header{};
  header.nfgen_family = static_cast<std::uint8_t>(to_af(family));
  header.version = NFNETLINK_V0;
  return header;
}

// What a tuple says; which of it must be there depends on the message.
struct TupleParts {
  std::optional<IpAddress> source, destination;
  std::optional<std::uint8_t> protocol;
  std::optional<std::uint16_t> source_port, destination_port;
  std::optional<std::uint16_t> zone;
};

template <class T>
bool read(Bytes payload, std::optional<T>& into) {
  into = load<T>(payload);
  return into.has_value();
}

bool read_be16(Bytes payload, std::optional<std::uint16_t>& into) {
  if (!read(payload, into)) return false;
  into = ntohs(*into);
  return true;
}

bool read_address(Family family, Bytes payload, std::optional<IpAddress>& into) {
  const auto address = IpAddress::from_bytes(family, payload);
  if (address) into = *address;
  return address.has_value();
}

// Calls `visit` with each attribute; false if one does not fit or `visit` says so.
template <class Visit>
bool each(Bytes bytes, const Visit& visit) {
  AttributeCursor cursor(bytes);
  while (const auto attribute = cursor.next())
    if (!visit(attribute->type, attribute->payload)) return false;
  return !cursor.malformed();
}

bool read_addresses(Bytes bytes, Family family, TupleParts& parts) {
  const bool v4 = family == Family::ipv4;
  return each(bytes, [&](std::uint16_t type, Bytes payload) {
    if (type == (v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC)) return read_address(family, payload, parts.source);
    if (type == (v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST)) return read_address(family, payload, parts.destination);
    return true;
  });
}

bool read_protocol(Bytes bytes, TupleParts& parts) {
  return each(bytes, [&](std::uint16_t type, Bytes payload) {
    if (type == CTA_PROTO_NUM) return read(payload, parts.protocol);
    if (type == CTA_PROTO_SRC_PORT) return read_be16(payload, parts.source_port);
    if (type == CTA_PROTO_DST_PORT) return read_be16(payload, parts.destination_port);
    return true;
  });
}

bool read_tuple(Bytes bytes, Family family, TupleParts& parts) {
  return each(bytes, [&](std::uint16_t type, Bytes payload) {
    if (type == CTA_TUPLE_IP) return read_addresses(payload, family, parts);
    if (type == CTA_TUPLE_PROTO) return read_protocol(payload, parts);
    if (type == CTA_TUPLE_ZONE) return read_be16(payload, parts.zone);
    return true;
  });
}

std::optional<FlowTuple> complete(const TupleParts& parts) {
  if (!parts.source || !parts.destination || !parts.source_port || !parts.destination_port) return {};
  return FlowTuple{*parts.source, *parts.destination, Port{*parts.source_port}, Port{*parts.destination_port},
                   parts.zone};
}

std::optional<Protocol> protocol_of(std::uint8_t number) {
  for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
    if (number == static_cast<std::uint8_t>(protocol)) return protocol;
  return {};
}

void write_be16(Batch& batch, std::uint16_t type, std::uint16_t value) {
  batch.attribute(type, bytes_of(htons(value)));
}

void write_protocol(Batch& batch, Protocol protocol, std::optional<Port> source, std::optional<Port> destination) {
  const auto nested = batch.begin_nested(CTA_TUPLE_PROTO);
  batch.attribute(CTA_PROTO_NUM, bytes_of(static_cast<std::uint8_t>(protocol)));
  if (source) write_be16(batch, CTA_PROTO_SRC_PORT, source->number);
  if (destination) write_be16(batch, CTA_PROTO_DST_PORT, destination->number);
  batch.end_nested(nested);
}

void write_addresses(Batch& batch, const IpAddress* source, const IpAddress& destination) {
  const bool v4 = destination.family() == Family::ipv4;
  const auto nested = batch.begin_nested(CTA_TUPLE_IP);
  if (source != nullptr) batch.attribute(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, source->bytes());
  batch.attribute(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, destination.bytes());
  batch.end_nested(nested);
}

}  // namespace

Result<std::optional<Flow>> decode_flow(Bytes payload) {
  const auto malformed = [&] {
    return fail(Errc::malformed, fmt::format("conntrack: an entry of {} bytes does not parse", payload.size()));
  };
  const auto header = load<nfgenmsg>(payload);
  if (!header) return malformed();
  const auto family = family_of_af(header->nfgen_family);
  if (!family) return std::optional<Flow>{};
  Flow flow;
  TupleParts original;
  TupleParts reply;
  const bool fits = each(payload.subspan(sizeof(nfgenmsg)), [&](std::uint16_t type, Bytes attribute) {
    std::optional<std::uint16_t> zone;
    switch (type) {
      case CTA_TUPLE_ORIG: return read_tuple(attribute, *family, original);
      case CTA_TUPLE_REPLY: return read_tuple(attribute, *family, reply);
      case CTA_ZONE:
        if (!read_be16(attribute, zone)) return false;
        flow.zone = *zone;
        return true;
      case CTA_ID: {
        const auto id = load<std::uint32_t>(attribute);
        if (id) flow.id = ntohl(*id);
        return id.has_value();
      }
      default: return true;
    }
  });
  if (!fits || !original.protocol) return malformed();
  const auto protocol = protocol_of(*original.protocol);
  if (!protocol) return std::optional<Flow>{};
  const auto there = complete(original);
  const auto back = complete(reply);
  if (!there || !back) return malformed();
  flow.protocol = *protocol;
  flow.original = *there;
  flow.reply = *back;
  return std::optional(flow);
}

void encode_list_flows(Batch& batch, const FlowFilter& filter) {
  batch.begin(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, header_of(filter.family));
  std::uint32_t flags = filter_protocol;
  const auto tuple = batch.begin_nested(CTA_TUPLE_ORIG);
  if (filter.destination && filter.family == Family::ipv4) {
    flags |= filter_ip_destination;
    write_addresses(batch, nullptr, *filter.destination);
  }
  if (filter.port) flags |= filter_destination_port;
  write_protocol(batch, filter.protocol, {}, filter.port);
  batch.end_nested(tuple);
  const auto nested = batch.begin_nested(CTA_FILTER);
  batch.attribute(CTA_FILTER_ORIG_FLAGS, bytes_of(flags));
  batch.attribute(CTA_FILTER_REPLY_FLAGS, bytes_of(std::uint32_t{0}));
  batch.end_nested(nested);
}

// Never without the tuple: ctnetlink_del_conntrack() takes a request without one for "flush everything".
void encode_delete_flow(Batch& batch, const Flow& flow) {
  batch.begin(message_type(IPCTNL_MSG_CT_DELETE), 0, header_of(flow.family()));
  const auto tuple = batch.begin_nested(CTA_TUPLE_ORIG);
  write_addresses(batch, &flow.original.source, flow.original.destination);
  write_protocol(batch, flow.protocol, flow.original.source_port, flow.original.destination_port);
  if (flow.original.zone) write_be16(batch, CTA_TUPLE_ZONE, *flow.original.zone);
  batch.end_nested(tuple);
  if (flow.zone != 0) write_be16(batch, CTA_ZONE, flow.zone);
  batch.attribute(CTA_ID, bytes_of(htonl(flow.id)));
}

Result<Conntrack> Conntrack::open() {
  auto socket = Socket::open(NETLINK_NETFILTER, "conntrack");
  if (!socket) return fail(socket.error());
  Conntrack conntrack(std::move(*socket));
  if (conntrack.probe()) return conntrack;
  load_modules(std::array{std::string_view("nf_conntrack_netlink")});
  const auto probed = conntrack.probe();
  if (probed) return conntrack;
  if (probed.error().code == Errc::denied) return fail(probed.error());
  return fail(Errc::unsupported,
              "conntrack: this kernel has no ctnetlink: load it with modprobe nf_conntrack_netlink (in a container: on "
              "the host)",
              probed.error().sys_errno);
}

Result<void> Conntrack::probe() {
  batch_.reset(socket_.next_sequence());
  nfgenmsg header{};
  header.version = NFNETLINK_V0;
  batch_.begin(message_type(IPCTNL_MSG_CT_GET_STATS), 0, header);
  return socket_.query(batch_, [](const Message&) {});
}

// One unreadable entry is left out, and is not a reason to see none.
Result<void> Conntrack::list(const FlowFilter& filter, const Visit& visit) {
  batch_.reset(socket_.next_sequence());
  encode_list_flows(batch_, filter);
  const auto done = socket_.query(batch_, [&](const Message& message) {
    if (message.header.nlmsg_type != message_type(IPCTNL_MSG_CT_NEW)) return;
    const auto flow = decode_flow(message.payload);
    if (flow && *flow && filter.admits(**flow)) visit(**flow);
  });
  if (!done) return fail(done.error().within("list flows"));
  return {};
}

std::vector<Failure> Conntrack::remove(std::span<const Flow> flows) {
  std::vector<Failure> failures;
  std::size_t first = 0;
  const auto flush = [&] {
    for (auto& failure : socket_.transact(batch_)) {
      const std::size_t index = first + failure.index;
      failures.push_back({index, failure.error.within("delete flow " + flows[index].to_string())});
    }
    first += batch_.count();
    batch_.reset(socket_.next_sequence());
  };
  constexpr std::size_t message_limit = 192;
  batch_.reset(socket_.next_sequence());
  for (const auto& flow : flows) {
    encode_delete_flow(batch_, flow);
    if (batch_.size() + message_limit > batch_limit) flush();
  }
  flush();
  return failures;
}

}  // namespace ipvsd::nl
