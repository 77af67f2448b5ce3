// The names of netlink's numbers, as far as IPVS, addresses and sets are concerned: what the raw view decodes with.
// A row says how an attribute's payload reads; what is in no table is shown by its number and its bytes. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ipvsd::ctl {

// Which netlink a message is of: it decides what nlmsg_type means (uapi/linux/netlink.h, NETLINK_*).
enum class NetlinkProtocol : std::uint8_t { unknown, route, netfilter, generic };

// How the bytes of a payload read.
enum class Form : std::uint8_t {
  bytes,
  number,      // unsigned, host order, 1, 2, 4 or 8 bytes
  net_number,  // the same in network order
  text,        // up to a zero byte
  address,     // 4 bytes: IPv4; 16: IPv6
  flags_mask,  // struct ip_vs_flags
  nested,
};

struct AttributeName;
using AttributeSpace = std::span<const AttributeName>;

struct AttributeName {
  std::uint16_t type;
  std::string_view name;  // the uapi symbol
  Form form;
  const AttributeSpace* inside = nullptr;                // nested
  std::string (*words)(std::uint64_t number) = nullptr;  // what a number means, "" if nothing
};

// A field of a fixed header, in host order unless `net`.
struct HeaderField {
  std::string_view name;
  std::uint8_t size;
  bool net = false;
  std::string (*words)(std::uint64_t number) = nullptr;
};

// How a message reads behind its nlmsghdr.
struct MessageShape {
  std::span<const HeaderField> header;
  AttributeSpace attributes;
};

[[nodiscard]] std::string_view to_string(NetlinkProtocol protocol);  // "NETLINK_ROUTE"; "" for unknown
[[nodiscard]] std::string flag_words(std::uint64_t nlmsg_flags, bool is_request);

// Messages of rtnetlink and of netfilter's ipset, by nlmsg_type. `name` is "" for a type that is in no table.
[[nodiscard]] std::string_view route_type_name(std::uint16_t type);
[[nodiscard]] MessageShape route_shape(std::uint16_t type);
[[nodiscard]] std::string_view ipset_type_name(std::uint16_t type);
[[nodiscard]] MessageShape ipset_shape(std::uint16_t type);
// Of generic netlink, by the family's name ("IPVS", "nlctrl") and genlmsghdr.cmd.
[[nodiscard]] std::string_view generic_command_name(std::string_view family, std::uint8_t command);
[[nodiscard]] MessageShape generic_shape(std::string_view family, std::uint8_t command);
// NLMSG_ERROR's attributes (NETLINK_EXT_ACK).
[[nodiscard]] AttributeSpace extended_ack_attributes();

}  // namespace ipvsd::ctl
