#include "ctl/dump_json.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/words.hpp"

namespace ipvsd::ctl {
namespace {

using Json = nlohmann::ordered_json;

// Names come from the kernel as bytes; what is no UTF-8 is replaced.
std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json json_of(const nl::Statistics& statistics) {
  return {{"connections", statistics.connections},
          {"inPackets", statistics.in_packets},
          {"outPackets", statistics.out_packets},
          {"inBytes", statistics.in_bytes},
          {"outBytes", statistics.out_bytes},
          {"connectionsPerSecond", statistics.connection_rate},
          {"inPacketsPerSecond", statistics.in_packet_rate},
          {"outPacketsPerSecond", statistics.out_packet_rate},
          {"inBytesPerSecond", statistics.in_byte_rate},
          {"outBytesPerSecond", statistics.out_byte_rate}};
}

Json json_of(const nl::DestinationRecord& record) {
  const auto& observed = record.observed;
  const Destination& destination = observed.destination;
  Json json{{"family", to_string(destination.key.address.family())},
            {"address", destination.key.address.to_string()},
            {"port", destination.key.port.number},
            {"forward", forward_name(destination.method)}};
  if (destination.method == ForwardMethod::tunnel) {
    json["tunnel"] = {{"type", tunnel_name(record.tunnel.type)}};
    if (record.tunnel.type == nl::TunnelType::gue) json["tunnel"]["port"] = record.tunnel.port.number;
    if (record.tunnel.type != nl::TunnelType::ipip) json["tunnel"]["checksum"] = checksum_name(record.tunnel.flags);
  }
  json["weight"] = destination.weight;
  json["draining"] = destination.weight == 0;
  json["upperThreshold"] = destination.upper_threshold;
  json["lowerThreshold"] = destination.lower_threshold;
  json["activeConnections"] = observed.active_connections;
  json["inactiveConnections"] = observed.inactive_connections;
  json["persistentConnections"] = observed.persistent_connections;
  json["statistics"] = json_of(record.statistics);
  return json;
}

Json json_of(const nl::VirtualServerRecord& record) {
  const VirtualServer& server = record.server;
  Json json{{"family", to_string(server.key.family())}};
  if (server.key.fwmark != 0) {
    json["fwmark"] = server.key.fwmark;
  } else {
    json["protocol"] = to_string(server.key.protocol);
    json["address"] = server.key.address.to_string();
    json["port"] = server.key.port.number;
  }
  json["scheduler"] = server.scheduler;
  json["schedulerFlags"] = scheduler_flags(server);
  json["onePacket"] = (server.flags & flag_one_packet) != 0;
  if ((server.flags & flag_persistent) != 0) {
    json["persistence"] = {{"timeoutSeconds", server.timeout}};
    const auto network = client_network(record);
    if (!network.empty()) json["persistence"]["clientNetwork"] = network;
    if (!record.persistence_engine.empty()) json["persistence"]["engine"] = record.persistence_engine;
  }
  json["statistics"] = json_of(record.statistics);
  return json;
}

Json json_of(const ObservedLink& link) {
  Json addresses = Json::array();
  for (const auto& address : link.addresses)
    addresses.push_back({{"family", to_string(address.address.family())},
                         {"address", address.address.to_string()},
                         {"prefixLength", address.prefix}});
  return {{"name", ipvs_link_name}, {"present", link.present}, {"addresses", std::move(addresses)}};
}

Json json_of(const ObservedSet& set) {
  Json json{{"name", set.set.name()}, {"family", to_string(set.set.family)}, {"type", to_string(set.set.type())}};
  if (!set.error.empty()) {
    json["error"] = set.error;
    return json;
  }
  json["count"] = set.count;
  if (!set.members) return json;
  json["members"] = Json::array();
  for (const auto& member : *set.members) json["members"].push_back(member.element());
  return json;
}

}  // namespace

std::string json_head() { return R"({"apiVersion":"kube-ipvsd/v1","kind":"Dump","virtualServers":[)"; }

std::string json_text(const ObservedServer& server) {
  Json json = json_of(server.record);
  json["destinations"] = Json::array();
  for (const auto& destination : server.destinations) json["destinations"].push_back(json_of(destination));
  return text_of(json);
}

std::string json_tail(const Observation& observation) {
  Json sets = Json::array();
  for (const auto& set : observation.sets) sets.push_back(json_of(set));
  return fmt::format("],\n\"link\":{},\n\"sets\":{}}}\n", text_of(json_of(observation.link)), text_of(sets));
}

}  // namespace ipvsd::ctl
