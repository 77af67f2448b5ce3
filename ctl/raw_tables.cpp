#include "ctl/raw_tables.hpp"

#include <fmt/format.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip_vs.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

namespace ipvsd::ctl {
namespace {

struct Bit {
  std::uint64_t bit;
  std::string_view name;
};

// "A|B|0x80": bits without a name by number.
template <std::size_t N>
std::string bit_words(std::uint64_t value, const std::array<Bit, N>& bits) {
  std::string words;
  const auto add = [&](std::string_view word) { words += fmt::format("{}{}", words.empty() ? "" : "|", word); };
  for (const auto& [bit, name] : bits) {
    if ((value & bit) == 0) continue;
    add(name);
    value &= ~bit;
  }
  if (value != 0) add(fmt::format("{:#x}", value));
  return words;
}

std::string family_words(std::uint64_t value) {
  switch (value) {
    case AF_UNSPEC: return "AF_UNSPEC";
    case AF_INET: return "AF_INET";
    case AF_INET6: return "AF_INET6";
    default: return "";
  }
}
std::string protocol_words(std::uint64_t value) {
  switch (value) {
    case IPPROTO_TCP: return "TCP";
    case IPPROTO_UDP: return "UDP";
    case IPPROTO_SCTP: return "SCTP";
    default: return "";
  }
}
std::string method_words(std::uint64_t value) {
  constexpr std::array names{"masquerade", "local", "tunnel", "direct route", "bypass"};
  const auto method = value & IP_VS_CONN_F_FWD_MASK;
  return method < names.size() ? names[method] : "";
}
std::string tunnel_words(std::uint64_t value) {
  constexpr std::array names{"ipip", "gue", "gre"};
  return value < names.size() ? names[value] : "";
}
std::string command_words(std::uint64_t value) {
  return std::string(generic_command_name("IPVS", static_cast<std::uint8_t>(value)));
}
std::string control_words(std::uint64_t value) {
  return std::string(generic_command_name("nlctrl", static_cast<std::uint8_t>(value)));
}
std::string address_flag_words(std::uint64_t value) {
  constexpr std::array bits{Bit{IFA_F_SECONDARY, "IFA_F_SECONDARY"},     Bit{IFA_F_NODAD, "IFA_F_NODAD"},
                            Bit{IFA_F_OPTIMISTIC, "IFA_F_OPTIMISTIC"},   Bit{IFA_F_DADFAILED, "IFA_F_DADFAILED"},
                            Bit{IFA_F_HOMEADDRESS, "IFA_F_HOMEADDRESS"}, Bit{IFA_F_DEPRECATED, "IFA_F_DEPRECATED"},
                            Bit{IFA_F_TENTATIVE, "IFA_F_TENTATIVE"},     Bit{IFA_F_PERMANENT, "IFA_F_PERMANENT"}};
  return bit_words(value, bits);
}
std::string scope_words(std::uint64_t value) {
  switch (value) {
    case RT_SCOPE_UNIVERSE: return "RT_SCOPE_UNIVERSE";
    case RT_SCOPE_SITE: return "RT_SCOPE_SITE";
    case RT_SCOPE_LINK: return "RT_SCOPE_LINK";
    case RT_SCOPE_HOST: return "RT_SCOPE_HOST";
    default: return "";
  }
}
std::string set_flag_words(std::uint64_t value) {
  constexpr std::array bits{Bit{IPSET_FLAG_EXIST, "IPSET_FLAG_EXIST"},
                            Bit{IPSET_FLAG_LIST_SETNAME, "IPSET_FLAG_LIST_SETNAME"},
                            Bit{IPSET_FLAG_LIST_HEADER, "IPSET_FLAG_LIST_HEADER"}};
  return bit_words(value, bits);
}
std::string set_data_flag_words(std::uint64_t value) {
  constexpr std::array bits{Bit{IPSET_FLAG_BEFORE, "BEFORE"},
                            Bit{IPSET_FLAG_PHYSDEV, "PHYSDEV"},
                            Bit{IPSET_FLAG_NOMATCH, "NOMATCH"},
                            Bit{IPSET_FLAG_WITH_COUNTERS, "WITH_COUNTERS"},
                            Bit{IPSET_FLAG_WITH_COMMENT, "WITH_COMMENT"},
                            Bit{IPSET_FLAG_WITH_FORCEADD, "WITH_FORCEADD"},
                            Bit{IPSET_FLAG_WITH_SKBINFO, "WITH_SKBINFO"}};
  return bit_words(value, bits);
}

#define ROW(symbol, ...) \
  AttributeName { symbol, #symbol, Form::__VA_ARGS__ }

constexpr std::array statistics_rows{
    ROW(IPVS_STATS_ATTR_CONNS, number),   ROW(IPVS_STATS_ATTR_INPKTS, number),   ROW(IPVS_STATS_ATTR_OUTPKTS, number),
    ROW(IPVS_STATS_ATTR_INBYTES, number), ROW(IPVS_STATS_ATTR_OUTBYTES, number), ROW(IPVS_STATS_ATTR_CPS, number),
    ROW(IPVS_STATS_ATTR_INPPS, number),   ROW(IPVS_STATS_ATTR_OUTPPS, number),   ROW(IPVS_STATS_ATTR_INBPS, number),
    ROW(IPVS_STATS_ATTR_OUTBPS, number),  ROW(IPVS_STATS_ATTR_PAD, bytes)};
constexpr AttributeSpace statistics_space(statistics_rows);

constexpr std::array server_rows{
    ROW(IPVS_SVC_ATTR_AF, number, nullptr, family_words),
    ROW(IPVS_SVC_ATTR_PROTOCOL, number, nullptr, protocol_words),
    ROW(IPVS_SVC_ATTR_ADDR, address),
    ROW(IPVS_SVC_ATTR_PORT, net_number),
    ROW(IPVS_SVC_ATTR_FWMARK, number),
    ROW(IPVS_SVC_ATTR_SCHED_NAME, text),
    ROW(IPVS_SVC_ATTR_FLAGS, flags_mask),
    ROW(IPVS_SVC_ATTR_TIMEOUT, number),
    ROW(IPVS_SVC_ATTR_NETMASK, bytes),  // IPv4: a mask in network order; IPv6: a prefix length in host order
    ROW(IPVS_SVC_ATTR_STATS, nested, &statistics_space),
    ROW(IPVS_SVC_ATTR_PE_NAME, text),
    ROW(IPVS_SVC_ATTR_STATS64, nested, &statistics_space)};
constexpr AttributeSpace server_space(server_rows);

constexpr std::array destination_rows{ROW(IPVS_DEST_ATTR_ADDR, address),
                                      ROW(IPVS_DEST_ATTR_PORT, net_number),
                                      ROW(IPVS_DEST_ATTR_FWD_METHOD, number, nullptr, method_words),
                                      ROW(IPVS_DEST_ATTR_WEIGHT, number),
                                      ROW(IPVS_DEST_ATTR_U_THRESH, number),
                                      ROW(IPVS_DEST_ATTR_L_THRESH, number),
                                      ROW(IPVS_DEST_ATTR_ACTIVE_CONNS, number),
                                      ROW(IPVS_DEST_ATTR_INACT_CONNS, number),
                                      ROW(IPVS_DEST_ATTR_PERSIST_CONNS, number),
                                      ROW(IPVS_DEST_ATTR_STATS, nested, &statistics_space),
                                      ROW(IPVS_DEST_ATTR_ADDR_FAMILY, number, nullptr, family_words),
                                      ROW(IPVS_DEST_ATTR_STATS64, nested, &statistics_space),
                                      ROW(IPVS_DEST_ATTR_TUN_TYPE, number, nullptr, tunnel_words),
                                      ROW(IPVS_DEST_ATTR_TUN_PORT, net_number),
                                      ROW(IPVS_DEST_ATTR_TUN_FLAGS, number)};
constexpr AttributeSpace destination_space(destination_rows);

constexpr std::array sync_rows{ROW(IPVS_DAEMON_ATTR_STATE, number),        ROW(IPVS_DAEMON_ATTR_MCAST_IFN, text),
                               ROW(IPVS_DAEMON_ATTR_SYNC_ID, number),      ROW(IPVS_DAEMON_ATTR_SYNC_MAXLEN, number),
                               ROW(IPVS_DAEMON_ATTR_MCAST_GROUP, address), ROW(IPVS_DAEMON_ATTR_MCAST_GROUP6, address),
                               ROW(IPVS_DAEMON_ATTR_MCAST_PORT, number),   ROW(IPVS_DAEMON_ATTR_MCAST_TTL, number)};
constexpr AttributeSpace sync_space(sync_rows);

constexpr std::array ipvs_rows{
    ROW(IPVS_CMD_ATTR_SERVICE, nested, &server_space), ROW(IPVS_CMD_ATTR_DEST, nested, &destination_space),
    ROW(IPVS_CMD_ATTR_DAEMON, nested, &sync_space),    ROW(IPVS_CMD_ATTR_TIMEOUT_TCP, number),
    ROW(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, number),        ROW(IPVS_CMD_ATTR_TIMEOUT_UDP, number)};
constexpr std::array ipvs_version_rows{ROW(IPVS_INFO_ATTR_VERSION, number), ROW(IPVS_INFO_ATTR_CONN_TAB_SIZE, number)};

constexpr std::array control_rows{ROW(CTRL_ATTR_FAMILY_ID, number),  ROW(CTRL_ATTR_FAMILY_NAME, text),
                                  ROW(CTRL_ATTR_VERSION, number),    ROW(CTRL_ATTR_HDRSIZE, number),
                                  ROW(CTRL_ATTR_MAXATTR, number),    ROW(CTRL_ATTR_OPS, bytes),
                                  ROW(CTRL_ATTR_MCAST_GROUPS, bytes)};

constexpr std::array address_rows{ROW(IFA_ADDRESS, address),    ROW(IFA_LOCAL, address),
                                  ROW(IFA_LABEL, text),         ROW(IFA_BROADCAST, address),
                                  ROW(IFA_ANYCAST, address),    ROW(IFA_CACHEINFO, bytes),
                                  ROW(IFA_MULTICAST, address),  ROW(IFA_FLAGS, number, nullptr, address_flag_words),
                                  ROW(IFA_RT_PRIORITY, number), ROW(IFA_PROTO, number)};
constexpr std::array link_kind_rows{ROW(IFLA_INFO_KIND, text), ROW(IFLA_INFO_DATA, bytes), ROW(IFLA_INFO_XSTATS, bytes),
                                    ROW(IFLA_INFO_SLAVE_KIND, text), ROW(IFLA_INFO_SLAVE_DATA, bytes)};
constexpr AttributeSpace link_kind_space(link_kind_rows);
constexpr std::array link_rows{ROW(IFLA_ADDRESS, bytes),
                               ROW(IFLA_BROADCAST, bytes),
                               ROW(IFLA_IFNAME, text),
                               ROW(IFLA_MTU, number),
                               ROW(IFLA_LINK, number),
                               ROW(IFLA_QDISC, text),
                               ROW(IFLA_STATS, bytes),
                               ROW(IFLA_MASTER, number),
                               ROW(IFLA_TXQLEN, number),
                               ROW(IFLA_MAP, bytes),
                               ROW(IFLA_OPERSTATE, number),
                               ROW(IFLA_LINKMODE, number),
                               ROW(IFLA_LINKINFO, nested, &link_kind_space),
                               ROW(IFLA_STATS64, bytes),
                               ROW(IFLA_AF_SPEC, bytes),
                               ROW(IFLA_GROUP, number),
                               ROW(IFLA_EXT_MASK, number),
                               ROW(IFLA_PROMISCUITY, number),
                               ROW(IFLA_NUM_TX_QUEUES, number),
                               ROW(IFLA_NUM_RX_QUEUES, number),
                               ROW(IFLA_CARRIER, number),
                               ROW(IFLA_CARRIER_CHANGES, number),
                               ROW(IFLA_PROTO_DOWN, number),
                               ROW(IFLA_GSO_MAX_SEGS, number),
                               ROW(IFLA_GSO_MAX_SIZE, number),
                               ROW(IFLA_XDP, bytes),
                               ROW(IFLA_CARRIER_UP_COUNT, number),
                               ROW(IFLA_CARRIER_DOWN_COUNT, number),
                               ROW(IFLA_MIN_MTU, number),
                               ROW(IFLA_MAX_MTU, number)};

constexpr std::array set_address_rows{ROW(IPSET_ATTR_IPADDR_IPV4, address), ROW(IPSET_ATTR_IPADDR_IPV6, address)};
constexpr AttributeSpace set_address_space(set_address_rows);
// Of a set's header: types above IPSET_ATTR_CADT_MAX mean something else in an element.
constexpr std::array set_header_rows{ROW(IPSET_ATTR_IP, nested, &set_address_space),
                                     ROW(IPSET_ATTR_IP_TO, nested, &set_address_space),
                                     ROW(IPSET_ATTR_CIDR, net_number),
                                     ROW(IPSET_ATTR_PORT, net_number),
                                     ROW(IPSET_ATTR_PORT_TO, net_number),
                                     ROW(IPSET_ATTR_TIMEOUT, net_number),
                                     ROW(IPSET_ATTR_PROTO, net_number, nullptr, protocol_words),
                                     ROW(IPSET_ATTR_CADT_FLAGS, net_number, nullptr, set_data_flag_words),
                                     ROW(IPSET_ATTR_MARK, net_number),
                                     ROW(IPSET_ATTR_MARKMASK, net_number),
                                     ROW(IPSET_ATTR_INITVAL, net_number),
                                     ROW(IPSET_ATTR_HASHSIZE, net_number),
                                     ROW(IPSET_ATTR_MAXELEM, net_number),
                                     ROW(IPSET_ATTR_NETMASK, net_number),
                                     ROW(IPSET_ATTR_BUCKETSIZE, net_number),
                                     ROW(IPSET_ATTR_RESIZE, net_number),
                                     ROW(IPSET_ATTR_SIZE, net_number),
                                     ROW(IPSET_ATTR_ELEMENTS, net_number),
                                     ROW(IPSET_ATTR_REFERENCES, net_number),
                                     ROW(IPSET_ATTR_MEMSIZE, net_number)};
constexpr AttributeSpace set_header_space(set_header_rows);
constexpr std::array set_element_rows{ROW(IPSET_ATTR_IP, nested, &set_address_space),
                                      ROW(IPSET_ATTR_IP_TO, nested, &set_address_space),
                                      ROW(IPSET_ATTR_CIDR, net_number),
                                      ROW(IPSET_ATTR_PORT, net_number),
                                      ROW(IPSET_ATTR_PORT_TO, net_number),
                                      ROW(IPSET_ATTR_TIMEOUT, net_number),
                                      ROW(IPSET_ATTR_PROTO, net_number, nullptr, protocol_words),
                                      ROW(IPSET_ATTR_CADT_FLAGS, net_number, nullptr, set_data_flag_words),
                                      ROW(IPSET_ATTR_CADT_LINENO, net_number),
                                      ROW(IPSET_ATTR_MARK, net_number),
                                      ROW(IPSET_ATTR_ETHER, bytes),
                                      ROW(IPSET_ATTR_NAME, text),
                                      ROW(IPSET_ATTR_NAMEREF, text),
                                      ROW(IPSET_ATTR_IP2, nested, &set_address_space),
                                      ROW(IPSET_ATTR_CIDR2, net_number),
                                      ROW(IPSET_ATTR_IP2_TO, nested, &set_address_space),
                                      ROW(IPSET_ATTR_IFACE, text),
                                      ROW(IPSET_ATTR_BYTES, net_number),
                                      ROW(IPSET_ATTR_PACKETS, net_number),
                                      ROW(IPSET_ATTR_COMMENT, text),
                                      ROW(IPSET_ATTR_SKBMARK, bytes),
                                      ROW(IPSET_ATTR_SKBPRIO, net_number),
                                      ROW(IPSET_ATTR_SKBQUEUE, net_number)};
constexpr AttributeSpace set_element_space(set_element_rows);
constexpr std::array set_elements_rows{ROW(IPSET_ATTR_DATA, nested, &set_element_space)};
constexpr AttributeSpace set_elements_space(set_elements_rows);

// IPSET_ATTR_DATA is a set's header when listing and creating, and an element when adding, deleting and testing.
#define SET_ROWS(data_space)                                                                                \
  ROW(IPSET_ATTR_PROTOCOL, number), ROW(IPSET_ATTR_SETNAME, text), ROW(IPSET_ATTR_TYPENAME, text),          \
      ROW(IPSET_ATTR_REVISION, number), ROW(IPSET_ATTR_FAMILY, number, nullptr, family_words),              \
      ROW(IPSET_ATTR_FLAGS, net_number, nullptr, set_flag_words), ROW(IPSET_ATTR_DATA, nested, data_space), \
      ROW(IPSET_ATTR_ADT, nested, &set_elements_space), ROW(IPSET_ATTR_LINENO, number),                     \
      ROW(IPSET_ATTR_PROTOCOL_MIN, number), ROW(IPSET_ATTR_INDEX, net_number)
constexpr std::array set_rows{SET_ROWS(&set_header_space)};
constexpr std::array set_change_rows{SET_ROWS(&set_element_space)};

constexpr std::array extended_ack_rows{ROW(NLMSGERR_ATTR_MSG, text), ROW(NLMSGERR_ATTR_OFFS, number),
                                       ROW(NLMSGERR_ATTR_COOKIE, bytes)};
#undef SET_ROWS
#undef ROW

constexpr std::array ipvs_header{HeaderField{"genl cmd", 1, false, command_words}, HeaderField{"genl version", 1},
                                 HeaderField{"genl reserved", 2}};
constexpr std::array control_header{HeaderField{"genl cmd", 1, false, control_words}, HeaderField{"genl version", 1},
                                    HeaderField{"genl reserved", 2}};
constexpr std::array other_generic_header{HeaderField{"genl cmd", 1}, HeaderField{"genl version", 1},
                                          HeaderField{"genl reserved", 2}};
constexpr std::array address_header{HeaderField{"ifa_family", 1, false, family_words}, HeaderField{"ifa_prefixlen", 1},
                                    HeaderField{"ifa_flags", 1, false, address_flag_words},
                                    HeaderField{"ifa_scope", 1, false, scope_words}, HeaderField{"ifa_index", 4}};
constexpr std::array link_header{HeaderField{"ifi_family", 1, false, family_words},
                                 HeaderField{"padding", 1},
                                 HeaderField{"ifi_type", 2},
                                 HeaderField{"ifi_index", 4},
                                 HeaderField{"ifi_flags", 4},
                                 HeaderField{"ifi_change", 4}};
constexpr std::array netfilter_header{HeaderField{"nfgen_family", 1, false, family_words}, HeaderField{"version", 1},
                                      HeaderField{"res_id", 2, true}};

constexpr std::array ipvs_commands{"",
                                   "IPVS_CMD_NEW_SERVICE",
                                   "IPVS_CMD_SET_SERVICE",
                                   "IPVS_CMD_DEL_SERVICE",
                                   "IPVS_CMD_GET_SERVICE",
                                   "IPVS_CMD_NEW_DEST",
                                   "IPVS_CMD_SET_DEST",
                                   "IPVS_CMD_DEL_DEST",
                                   "IPVS_CMD_GET_DEST",
                                   "IPVS_CMD_NEW_DAEMON",
                                   "IPVS_CMD_DEL_DAEMON",
                                   "IPVS_CMD_GET_DAEMON",
                                   "IPVS_CMD_SET_CONFIG",
                                   "IPVS_CMD_GET_CONFIG",
                                   "IPVS_CMD_SET_INFO",
                                   "IPVS_CMD_GET_INFO",
                                   "IPVS_CMD_ZERO",
                                   "IPVS_CMD_FLUSH"};
constexpr std::array control_commands{"",
                                      "CTRL_CMD_NEWFAMILY",
                                      "CTRL_CMD_DELFAMILY",
                                      "CTRL_CMD_GETFAMILY",
                                      "CTRL_CMD_NEWOPS",
                                      "CTRL_CMD_DELOPS",
                                      "CTRL_CMD_GETOPS",
                                      "CTRL_CMD_NEWMCAST_GRP",
                                      "CTRL_CMD_DELMCAST_GRP",
                                      "CTRL_CMD_GETMCAST_GRP",
                                      "CTRL_CMD_GETPOLICY"};
constexpr std::array ipset_commands{"",
                                    "IPSET_CMD_PROTOCOL",
                                    "IPSET_CMD_CREATE",
                                    "IPSET_CMD_DESTROY",
                                    "IPSET_CMD_FLUSH",
                                    "IPSET_CMD_RENAME",
                                    "IPSET_CMD_SWAP",
                                    "IPSET_CMD_LIST",
                                    "IPSET_CMD_SAVE",
                                    "IPSET_CMD_ADD",
                                    "IPSET_CMD_DEL",
                                    "IPSET_CMD_TEST",
                                    "IPSET_CMD_HEADER",
                                    "IPSET_CMD_TYPE",
                                    "IPSET_CMD_GET_BYNAME",
                                    "IPSET_CMD_GET_BYINDEX"};
static_assert(std::string_view(ipvs_commands[IPVS_CMD_FLUSH]) == "IPVS_CMD_FLUSH");
static_assert(std::string_view(control_commands[CTRL_CMD_GETPOLICY]) == "CTRL_CMD_GETPOLICY");
static_assert(std::string_view(ipset_commands[IPSET_CMD_GET_BYINDEX]) == "IPSET_CMD_GET_BYINDEX");

template <std::size_t N>
std::string_view named(const std::array<const char*, N>& names, std::size_t number) {
  return number < N ? names[number] : std::string_view{};
}

}  // namespace

std::string_view to_string(NetlinkProtocol protocol) {
  switch (protocol) {
    case NetlinkProtocol::unknown: break;
    case NetlinkProtocol::route: return "NETLINK_ROUTE";
    case NetlinkProtocol::netfilter: return "NETLINK_NETFILTER";
    case NetlinkProtocol::generic: return "NETLINK_GENERIC";
  }
  return "";
}

// The bits from 0x100 on mean one thing in a request to read, another in one to write, and a third in an answer.
std::string flag_words(std::uint64_t flags, bool is_read) {
  constexpr std::array common{Bit{NLM_F_REQUEST, "NLM_F_REQUEST"},
                              Bit{NLM_F_MULTI, "NLM_F_MULTI"},
                              Bit{NLM_F_ACK, "NLM_F_ACK"},
                              Bit{NLM_F_ECHO, "NLM_F_ECHO"},
                              Bit{NLM_F_DUMP_INTR, "NLM_F_DUMP_INTR"},
                              Bit{NLM_F_DUMP_FILTERED, "NLM_F_DUMP_FILTERED"}};
  constexpr std::array reading{Bit{NLM_F_REQUEST, "NLM_F_REQUEST"}, Bit{NLM_F_ACK, "NLM_F_ACK"},
                               Bit{NLM_F_ECHO, "NLM_F_ECHO"},       Bit{NLM_F_ROOT, "NLM_F_ROOT"},
                               Bit{NLM_F_MATCH, "NLM_F_MATCH"},     Bit{NLM_F_ATOMIC, "NLM_F_ATOMIC"}};
  constexpr std::array writing{Bit{NLM_F_REQUEST, "NLM_F_REQUEST"}, Bit{NLM_F_ACK, "NLM_F_ACK"},
                               Bit{NLM_F_ECHO, "NLM_F_ECHO"},       Bit{NLM_F_REPLACE, "NLM_F_REPLACE"},
                               Bit{NLM_F_EXCL, "NLM_F_EXCL"},       Bit{NLM_F_CREATE, "NLM_F_CREATE"},
                               Bit{NLM_F_APPEND, "NLM_F_APPEND"}};
  if ((flags & NLM_F_REQUEST) == 0) return bit_words(flags, common);
  return is_read ? bit_words(flags, reading) : bit_words(flags, writing);
}

std::string_view route_type_name(std::uint16_t type) {
  switch (type) {
    case RTM_NEWLINK: return "RTM_NEWLINK";
    case RTM_DELLINK: return "RTM_DELLINK";
    case RTM_GETLINK: return "RTM_GETLINK";
    case RTM_SETLINK: return "RTM_SETLINK";
    case RTM_NEWADDR: return "RTM_NEWADDR";
    case RTM_DELADDR: return "RTM_DELADDR";
    case RTM_GETADDR: return "RTM_GETADDR";
    default: return "";
  }
}

MessageShape route_shape(std::uint16_t type) {
  if (type >= RTM_NEWLINK && type <= RTM_SETLINK) return {link_header, link_rows};
  if (type >= RTM_NEWADDR && type <= RTM_GETADDR) return {address_header, address_rows};
  return {};
}

std::string_view ipset_type_name(std::uint16_t type) {
  return NFNL_SUBSYS_ID(type) == NFNL_SUBSYS_IPSET ? named(ipset_commands, NFNL_MSG_TYPE(type)) : std::string_view{};
}

MessageShape ipset_shape(std::uint16_t type) {
  if (NFNL_SUBSYS_ID(type) != NFNL_SUBSYS_IPSET) return {netfilter_header, {}};
  switch (NFNL_MSG_TYPE(type)) {
    case IPSET_CMD_ADD:
    case IPSET_CMD_DEL:
    case IPSET_CMD_TEST: return {netfilter_header, set_change_rows};
    default: return {netfilter_header, set_rows};
  }
}

std::string_view generic_command_name(std::string_view family, std::uint8_t command) {
  if (family == "IPVS") return named(ipvs_commands, command);
  return family == "nlctrl" ? named(control_commands, command) : std::string_view{};
}

MessageShape generic_shape(std::string_view family, std::uint8_t command) {
  if (family == "nlctrl") return {control_header, control_rows};
  if (family != "IPVS") return {other_generic_header, {}};
  if (command == IPVS_CMD_SET_INFO || command == IPVS_CMD_GET_INFO) return {ipvs_header, ipvs_version_rows};
  return {ipvs_header, ipvs_rows};
}

AttributeSpace extended_ack_attributes() { return extended_ack_rows; }

}  // namespace ipvsd::ctl
