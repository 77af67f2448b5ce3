#include "ctl/raw_decode.hpp"

#include <fmt/format.h>
#include <linux/genetlink.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "ctl/output.hpp"
#include "model/ip.hpp"

namespace ipvsd::ctl {
namespace {

constexpr int depth_limit = 8;
constexpr std::size_t name_width = 30;

std::string hex(nl::Bytes bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const auto byte : bytes) text += fmt::format("{:02x}", byte);
  return text.empty() ? "-" : text;
}

std::uint64_t number_of(nl::Bytes bytes, bool net) {
  std::uint64_t value = 0;
  // Host order is little-endian wherever this runs but on s390x: read as the kernel wrote it.
  if (!net) {
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
    if (std::uint16_t one = 1; *reinterpret_cast<std::uint8_t*>(&one) == 0) value >>= 8 * (8 - bytes.size());
    return value;
  }
  for (const auto byte : bytes) value = value << 8 | byte;
  return value;
}

bool is_number(nl::Bytes bytes) {
  return bytes.size() == 1 || bytes.size() == 2 || bytes.size() == 4 || bytes.size() == 8;
}

std::string with_words(std::uint64_t value, std::string (*words)(std::uint64_t)) {
  const auto meaning = words == nullptr ? std::string{} : words(value);
  return meaning.empty() ? fmt::format("{}", value) : fmt::format("{} {}", value, meaning);
}

// "-2 ENOENT": as the kernel sent it. ipset's own errors have no errno.
std::string errno_words(std::int64_t positive) {
  const char* name = positive < 4096 ? ::strerrorname_np(static_cast<int>(positive)) : nullptr;
  if (name != nullptr) return fmt::format("{} {}", -positive, name);
  return positive >= 4096 ? fmt::format("{} (ipset: {})", -positive, positive) : fmt::format("{}", -positive);
}

std::string value_of(const AttributeName& known, nl::Bytes payload) {
  switch (known.form) {
    case Form::bytes:
    case Form::nested: return "";
    case Form::number:
    case Form::net_number:
      if (!is_number(payload)) return "(not the length of a number)";
      return with_words(number_of(payload, known.form == Form::net_number), known.words);
    case Form::text: {
      const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
      return fmt::format("\"{}\"", printable(text.substr(0, text.find('\0'))));
    }
    case Form::address: {
      if (payload.size() != 4 && payload.size() != 16) return "(not the length of an address)";
      // IPVS sends IPv4 addresses in 16 bytes as well.
      const bool padded =
          payload.size() == 16 && std::all_of(payload.begin() + 4, payload.end(), [](auto b) { return b == 0; });
      const auto family = payload.size() == 4 || padded ? Family::ipv4 : Family::ipv6;
      const auto address = IpAddress::from_bytes(family, payload);
      return address ? address->to_string() : "";
    }
    case Form::flags_mask: {
      if (payload.size() != 8) return "(not the length of flags and mask)";
      return fmt::format("flags {:#x} mask {:#x}", number_of(payload.first(4), false),
                         number_of(payload.subspan(4), false));
    }
  }
  return "";
}

}  // namespace

// The lines of one datagram; places count from its start.
struct RawDecoder::Text {
  const std::uint8_t* start;
  std::string out;

  [[nodiscard]] std::size_t place(nl::Bytes bytes) const { return static_cast<std::size_t>(bytes.data() - start); }
  void field(std::string_view name, nl::Bytes bytes, std::string_view value) {
    out += fmt::format("  {:04x}  {:<{}}  length {:>5}  {}", place(bytes), name, name_width, bytes.size(), hex(bytes));
    out += value.empty() ? "\n" : fmt::format("  {}\n", value);
  }
  void attributes(nl::Bytes bytes, AttributeSpace space, int depth);
  void attribute(const nl::Attribute& attribute, AttributeSpace space, int depth);
};

void RawDecoder::Text::attribute(const nl::Attribute& attribute, AttributeSpace space, int depth) {
  const auto known =
      std::find_if(space.begin(), space.end(), [&](const auto& name) { return name.type == attribute.type; });
  const auto header = place(attribute.payload) - sizeof(nlattr);
  const auto indent = static_cast<std::size_t>(2 * depth);
  const auto name = known == space.end() ? std::string_view("attribute") : known->name;
  const std::size_t width = name_width - std::min(name_width, indent);
  out += fmt::format("  {:04x}  {:{}}{:<{}}  type {:>5}  length {:>5}", header, "", indent, name, width, attribute.type,
                     attribute.payload.size() + sizeof(nlattr));
  if (known != space.end() && known->form == Form::nested && known->inside != nullptr && depth < depth_limit) {
    out += "  nested\n";
    return attributes(attribute.payload, *known->inside, depth + 1);
  }
  out += "  " + hex(attribute.payload);
  const auto value = known == space.end() ? std::string{} : value_of(*known, attribute.payload);
  out += value.empty() ? "\n" : fmt::format("  {}\n", value);
}

void RawDecoder::Text::attributes(nl::Bytes bytes, AttributeSpace space, int depth) {
  nl::AttributeCursor cursor(bytes);
  nl::Bytes rest = bytes;
  while (const auto next = cursor.next()) {
    attribute(*next, space, depth);
    const auto end = (place(next->payload) + next->payload.size() + 3) & ~std::size_t{3};
    const auto done = std::min(end - place(bytes), bytes.size());
    rest = bytes.subspan(done);
  }
  if (cursor.malformed())
    out += fmt::format("  {:04x}  malformed: {} bytes are no attribute: {}\n", place(rest), rest.size(), hex(rest));
}

std::string_view RawDecoder::family(std::uint16_t id) const {
  if (id == GENL_ID_CTRL) return "nlctrl";
  const auto found = families_.find(id);
  return found == families_.end() ? std::string_view{} : std::string_view(found->second);
}

// The types of the protocols overlap: 16 is nlctrl, and RTM_NEWLINK. What reads without a fault is taken, the likelier
// first: ipset by its own range, then rtnetlink, whose headers are longer.
NetlinkProtocol RawDecoder::guess(std::uint16_t type, nl::Bytes payload) const {
  if (NFNL_SUBSYS_ID(type) == NFNL_SUBSYS_IPSET && !ipset_type_name(type).empty()) return NetlinkProtocol::netfilter;
  const auto reads = [&](NetlinkProtocol protocol) {
    const auto form = shape(protocol, type, payload);
    std::size_t header = 0;
    for (const auto& field : form.header) header += field.size;
    if (form.attributes.empty() || payload.size() < header) return false;
    nl::AttributeCursor cursor(payload.subspan(header));
    while (const auto next = cursor.next())
      if (std::none_of(form.attributes.begin(), form.attributes.end(),
                       [&](const auto& known) { return known.type == next->type; }))
        return false;
    return !cursor.malformed();
  };
  // A generic header ends in two zero bytes.
  const bool generic = payload.size() >= GENL_HDRLEN && payload[2] == 0 && payload[3] == 0;
  if (generic && !family(type).empty() && reads(NetlinkProtocol::generic)) return NetlinkProtocol::generic;
  if (!route_type_name(type).empty() && reads(NetlinkProtocol::route)) return NetlinkProtocol::route;
  return type < NLMSG_MIN_TYPE ? NetlinkProtocol::unknown : NetlinkProtocol::generic;
}

MessageShape RawDecoder::shape(NetlinkProtocol protocol, std::uint16_t type, nl::Bytes payload) const {
  switch (protocol) {
    case NetlinkProtocol::unknown: break;
    case NetlinkProtocol::route: return route_shape(type);
    case NetlinkProtocol::netfilter: return ipset_shape(type);
    case NetlinkProtocol::generic: return generic_shape(family(type), payload.empty() ? 0 : payload[0]);
  }
  return {};
}

std::string RawDecoder::type_words(NetlinkProtocol protocol, std::uint16_t type, nl::Bytes payload) const {
  switch (type) {
    case NLMSG_NOOP: return "NLMSG_NOOP";
    case NLMSG_ERROR: return "NLMSG_ERROR";
    case NLMSG_DONE: return "NLMSG_DONE";
    case NLMSG_OVERRUN: return "NLMSG_OVERRUN";
    default: break;
  }
  switch (protocol) {
    case NetlinkProtocol::unknown: break;
    case NetlinkProtocol::route: return std::string(route_type_name(type));
    case NetlinkProtocol::netfilter: return std::string(ipset_type_name(type));
    case NetlinkProtocol::generic: {
      const auto name = family(type);
      if (name.empty()) return "generic netlink, family unknown";
      const auto command = generic_command_name(name, payload.empty() ? 0 : payload[0]);
      return command.empty() ? std::string(name) : fmt::format("{} {}", name, command);
    }
  }
  return "";
}

void RawDecoder::learn_from(nl::Bytes payload) {
  if (payload.size() < GENL_HDRLEN || payload[0] != CTRL_CMD_NEWFAMILY) return;
  std::optional<std::uint16_t> id;
  std::string name;
  nl::AttributeCursor cursor(payload.subspan(GENL_HDRLEN));
  while (const auto attribute = cursor.next()) {
    if (attribute->type == CTRL_ATTR_FAMILY_ID) id = nl::load<std::uint16_t>(attribute->payload);
    if (attribute->type != CTRL_ATTR_FAMILY_NAME) continue;
    const std::string_view text(reinterpret_cast<const char*>(attribute->payload.data()), attribute->payload.size());
    name = printable(text.substr(0, std::min(text.find('\0'), std::size_t{GENL_NAMSIZ})));
  }
  if (id && !name.empty()) learn(*id, name);
}

void RawDecoder::body(Text& text, NetlinkProtocol protocol, std::uint16_t type, nl::Bytes payload) {
  const auto form = shape(protocol, type, payload);
  for (const auto& field : form.header) {
    if (payload.size() < field.size) {
      text.field("malformed: cut header", payload, "");
      return;
    }
    const auto bytes = payload.first(field.size);
    text.field(field.name, bytes, with_words(number_of(bytes, field.net), field.words));
    payload = payload.subspan(field.size);
  }
  if (form.header.empty()) {
    if (!payload.empty()) text.field("payload", payload, "");
    return;
  }
  text.attributes(payload, form.attributes, 0);
}

// The error, the header of the message that failed (all of it without NETLINK_CAP_ACK), and the kernel's words.
void RawDecoder::error(Text& text, NetlinkProtocol protocol, const nl::Message& message) {
  auto payload = message.payload;
  if (payload.size() < sizeof(std::int32_t)) return text.field("malformed: cut error", payload, "");
  const auto code = *nl::load<std::int32_t>(payload);
  text.field("error", payload.first(4),
             code < 0                                  ? errno_words(-std::int64_t{code})
             : message.header.nlmsg_type == NLMSG_DONE ? "0, the end of a dump"
                                                       : "0, an acknowledgement");
  payload = payload.subspan(4);
  const auto failed = nl::load<nlmsghdr>(payload);
  if (!failed) {
    if (!payload.empty()) text.field("malformed: cut header", payload, "");
    return;
  }
  const bool capped = (message.header.nlmsg_flags & NLM_F_CAPPED) != 0;
  const auto size = capped || code == 0 ? sizeof(nlmsghdr) : std::max<std::size_t>(failed->nlmsg_len, sizeof(nlmsghdr));
  const auto original = payload.first(std::min(size, payload.size()));
  text.field("the message", original,
             fmt::format("nlmsg_seq {}, {}", failed->nlmsg_seq,
                         type_words(protocol == NetlinkProtocol::unknown
                                        ? guess(failed->nlmsg_type, original.subspan(sizeof(nlmsghdr)))
                                        : protocol,
                                    failed->nlmsg_type, original.subspan(sizeof(nlmsghdr)))));
  payload = payload.subspan(std::min((original.size() + 3) & ~std::size_t{3}, payload.size()));
  if ((message.header.nlmsg_flags & NLM_F_ACK_TLVS) != 0) return text.attributes(payload, extended_ack_attributes(), 0);
  if (!payload.empty()) text.field("payload", payload, "");
}

void RawDecoder::message(Text& text, NetlinkProtocol protocol, const nl::Message& message) {
  const auto& header = message.header;
  const auto type = header.nlmsg_type;
  if (protocol == NetlinkProtocol::unknown) protocol = guess(type, message.payload);
  const nl::Bytes bytes(message.payload.data() - sizeof(nlmsghdr), sizeof(nlmsghdr));
  const auto words = type_words(protocol, type, message.payload);
  text.out += fmt::format("message {}: {}{}{}\n", ++count_, to_string(protocol),
                          protocol == NetlinkProtocol::unknown ? "" : ", ", words.empty() ? "unknown type" : words);
  const bool reads = words.find("_GET") != std::string::npos || words.find("IPSET_CMD_LIST") != std::string::npos;
  text.field("nlmsg_len", bytes.subspan(0, 4), fmt::format("{}", header.nlmsg_len));
  text.field("nlmsg_type", bytes.subspan(4, 2), fmt::format("{} {}", type, words));
  text.field("nlmsg_flags", bytes.subspan(6, 2), flag_words(header.nlmsg_flags, reads));
  text.field("nlmsg_seq", bytes.subspan(8, 4), fmt::format("{}", header.nlmsg_seq));
  text.field("nlmsg_pid", bytes.subspan(12, 4), fmt::format("{}", header.nlmsg_pid));
  if (type == NLMSG_ERROR || type == NLMSG_DONE)
    error(text, protocol, message);
  else
    body(text, protocol, type, message.payload);
  if (protocol == NetlinkProtocol::generic && type == GENL_ID_CTRL) learn_from(message.payload);
  text.out += '\n';
}

std::string RawDecoder::decode(NetlinkProtocol protocol, nl::Bytes datagram) {
  Text text{datagram.data(), {}};
  nl::MessageCursor cursor(datagram);
  std::size_t done = 0;
  while (const auto next = cursor.next()) {
    message(text, protocol, *next);
    done = std::min((text.place(next->payload) + next->payload.size() + 3) & ~std::size_t{3}, datagram.size());
  }
  if (cursor.malformed()) {
    const auto rest = datagram.subspan(done);
    text.out += fmt::format("malformed: {} bytes at {:#x} are no message: {}\n\n", rest.size(), done, hex(rest));
  }
  return std::move(text.out);
}

}  // namespace ipvsd::ctl
