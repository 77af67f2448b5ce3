// The kernel's numbers in the words that users know, shared by the renderings. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "netlink/ipvs_codec.hpp"

namespace ipvsd::ctl {

// "masquerade", "direct-route", "tunnel", "local", "bypass".
[[nodiscard]] std::string_view forward_name(ForwardMethod method);

// "ipip", "gue", "gre".
[[nodiscard]] std::string_view tunnel_name(nl::TunnelType type);
// "nocsum", "csum", "remcsum", as ipvsadm calls IP_VS_TUNNEL_ENCAP_FLAG_*.
[[nodiscard]] std::string_view checksum_name(std::uint16_t tunnel_flags);

// The scheduler flags by ipvsadm's names: "sh-fallback", "mh-port"; "flag-1" where the scheduler gives the bit no name.
// A bit that sh and mh do not use is left out for these, as ipvsadm leaves it out.
[[nodiscard]] std::vector<std::string> scheduler_flags(const VirtualServer& server);
[[nodiscard]] bool has_scheduler_flags(const VirtualServer& server);

// Whether clients share persistence by network, and of which size: "255.255.255.0" for IPv4, "64" for IPv6; empty where
// each client is on its own.
[[nodiscard]] std::string client_network(const nl::VirtualServerRecord& record);

}  // namespace ipvsd::ctl
