#include "ctl/dump_ipvsadm.hpp"

#include <fmt/format.h>

#include "ctl/words.hpp"

namespace ipvsd::ctl {
namespace {

std::string_view protocol_option(Protocol protocol) {
  switch (protocol) {
    case Protocol::udp: return "-u";
    case Protocol::sctp: return "--sctp-service";
    default: return "-t";
  }
}

std::string identity(const VirtualServerKey& key) {
  if (key.fwmark == 0) return fmt::format("{} {}", protocol_option(key.protocol), format_socket(key.address, key.port));
  return fmt::format("-f {}{}", static_cast<std::int32_t>(key.fwmark), key.family() == Family::ipv6 ? " -6" : "");
}

std::string_view method_option(ForwardMethod method) {
  switch (method) {
    case ForwardMethod::masquerade: return "-m";
    case ForwardMethod::tunnel: return "-i";
    default: return "-g";
  }
}

std::string tunnel_options(const nl::Tunnel& tunnel) {
  std::string text = fmt::format(" --tun-type {}", tunnel_name(tunnel.type));
  if (tunnel.type == nl::TunnelType::gue) text += fmt::format(" --tun-port {}", tunnel.port.number);
  if (tunnel.type != nl::TunnelType::ipip) text += fmt::format(" --tun-{}", checksum_name(tunnel.flags));
  return text;
}

}  // namespace

std::string ipvsadm_text(const ObservedServer& observed) {
  const VirtualServer& server = observed.record.server;
  const std::string name = identity(server.key);
  std::string text = fmt::format("-A {} -s {}", name, server.scheduler);
  if ((server.flags & flag_persistent) != 0) {
    text += fmt::format(" -p {}", server.timeout);
    if (const auto network = client_network(observed.record); !network.empty()) text += " -M " + network;
  }
  if (!observed.record.persistence_engine.empty()) text += " --pe " + observed.record.persistence_engine;
  if ((server.flags & flag_one_packet) != 0) text += " -o";
  if (has_scheduler_flags(server)) text += fmt::format(" -b {}", fmt::join(scheduler_flags(server), ","));
  text += '\n';
  for (const auto& record : observed.destinations) {
    const Destination& destination = record.observed.destination;
    text += fmt::format("-a {} -r {} {} -w {}", name, destination.key.to_string(), method_option(destination.method),
                        static_cast<std::int32_t>(destination.weight));
    if (destination.method == ForwardMethod::tunnel) text += tunnel_options(record.tunnel);
    text += '\n';
  }
  return text;
}

}  // namespace ipvsd::ctl
