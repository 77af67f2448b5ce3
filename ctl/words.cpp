#include "ctl/words.hpp"

#include <fmt/format.h>

#include <array>

namespace ipvsd::ctl {

std::string_view forward_name(ForwardMethod method) {
  switch (method) {
    case ForwardMethod::masquerade: return "masquerade";
    case ForwardMethod::local: return "local";
    case ForwardMethod::tunnel: return "tunnel";
    case ForwardMethod::direct_route: return "direct-route";
    case ForwardMethod::bypass: return "bypass";
  }
  return "unknown";
}

std::string_view tunnel_name(nl::TunnelType type) {
  switch (type) {
    case nl::TunnelType::ipip: return "ipip";
    case nl::TunnelType::gue: return "gue";
    case nl::TunnelType::gre: return "gre";
  }
  return "unknown";
}

std::string_view checksum_name(std::uint16_t tunnel_flags) {
  if ((tunnel_flags & IP_VS_TUNNEL_ENCAP_FLAG_CSUM) != 0) return "csum";
  return (tunnel_flags & IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM) != 0 ? "remcsum" : "nocsum";
}

std::vector<std::string> scheduler_flags(const VirtualServer& server) {
  const bool named = server.scheduler == "sh" || server.scheduler == "mh";
  const auto name = [&](std::string_view own, int number) {
    return named ? fmt::format("{}-{}", server.scheduler, own) : fmt::format("flag-{}", number);
  };
  std::vector<std::string> flags;
  if ((server.flags & flag_sched1) != 0) flags.push_back(name("fallback", 1));
  if ((server.flags & flag_sched2) != 0) flags.push_back(name("port", 2));
  if ((server.flags & flag_sched3) != 0 && !named) flags.emplace_back("flag-3");
  return flags;
}

bool has_scheduler_flags(const VirtualServer& server) {
  return (server.flags & (flag_sched1 | flag_sched2 | flag_sched3)) != 0;
}

std::string client_network(const nl::VirtualServerRecord& record) {
  const auto mask = record.client_netmask;
  if (record.server.key.family() == Family::ipv6) return mask == 128 ? "" : fmt::format("{}", mask);
  if (mask == ~0U) return "";
  return fmt::format("{}.{}.{}.{}", mask >> 24, mask >> 16 & 255, mask >> 8 & 255, mask & 255);
}

}  // namespace ipvsd::ctl
