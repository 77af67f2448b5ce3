// IPVS's generic netlink messages: bytes <-> VirtualServer, Destination and their counters. Pure.
//
// Source: uapi/linux/ip_vs.h, family IPVS version 1; net/netfilter/ipvs/ip_vs_ctl.c (ip_vs_genl_*).
#pragma once

#include <linux/genetlink.h>
#include <linux/ip_vs.h>

#include <chrono>

#include "model/kernel.hpp"
#include "netlink/message.hpp"

namespace ipvsd::nl {

// IPVS_STATS_ATTR_*, 64 bit (kernel 4.1 and later). Rates are per second. The kernel's estimator adds them up every two
// seconds.
struct Statistics {
  std::uint64_t connections = 0;
  std::uint64_t in_packets = 0;
  std::uint64_t out_packets = 0;
  std::uint64_t in_bytes = 0;
  std::uint64_t out_bytes = 0;
  std::uint64_t connection_rate = 0;
  std::uint64_t in_packet_rate = 0;
  std::uint64_t out_packet_rate = 0;
  std::uint64_t in_byte_rate = 0;
  std::uint64_t out_byte_rate = 0;
  friend bool operator==(const Statistics&, const Statistics&) = default;
};

struct VirtualServerRecord {
  VirtualServer server;
  // IPVS_SVC_ATTR_NETMASK as it is: a mask in host order for IPv4, which others may set with holes, and a prefix length
  // for IPv6.
  std::uint32_t client_netmask = 0;
  std::string persistence_engine;  // IPVS_SVC_ATTR_PE_NAME, "" if none
  Statistics statistics;
};

// IP_VS_CONN_F_TUNNEL_TYPE_*
enum class TunnelType : std::uint8_t { ipip = 0, gue = 1, gre = 2 };

// How packets to a destination with ForwardMethod::tunnel are wrapped (kernel 5.3 and later).
struct Tunnel {
  TunnelType type = TunnelType::ipip;
  Port port;                // GUE only
  std::uint16_t flags = 0;  // IP_VS_TUNNEL_ENCAP_FLAG_*
  friend bool operator==(const Tunnel&, const Tunnel&) = default;
};

struct DestinationRecord {
  ObservedDestination observed;
  Tunnel tunnel;
  Statistics statistics;
};

// IPVS_CMD_SET_CONFIG; 0 leaves a value as it is.
struct Timeouts {
  std::chrono::seconds tcp{0};
  std::chrono::seconds tcp_fin{0};
  std::chrono::seconds udp{0};
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

// Appends one message. `family_id` is what generic netlink gave the family IPVS.
void encode_virtual_server(Batch& batch, std::uint16_t family_id, Verb verb, const VirtualServer& server);
void encode_destination(Batch& batch, std::uint16_t family_id, Verb verb, const DestinationOf& of);
void encode_get_virtual_server(Batch& batch, std::uint16_t family_id, const VirtualServerKey& key);
void encode_dump_virtual_servers(Batch& batch, std::uint16_t family_id);
void encode_dump_destinations(Batch& batch, std::uint16_t family_id, const VirtualServerKey& key);
void encode_set_timeouts(Batch& batch, std::uint16_t family_id, const Timeouts& timeouts);
void encode_get_timeouts(Batch& batch, std::uint16_t family_id);

// Read an answer (behind its nlmsghdr). Error: malformed. Nothing is assumed of the order or presence of attributes.
[[nodiscard]] Result<VirtualServerRecord> decode_virtual_server(Bytes payload);
// `family`: of the virtual server; older kernels do not send IPVS_DEST_ATTR_ADDR_FAMILY.
[[nodiscard]] Result<DestinationRecord> decode_destination(Bytes payload, Family family);
[[nodiscard]] Result<Timeouts> decode_timeouts(Bytes payload);

}  // namespace ipvsd::nl
