#include "ctl/dump_json.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/json_writer.hpp"
#include "ctl/output.hpp"
#include "ctl/words.hpp"

namespace ipvsd::ctl {
namespace {

using Json = nlohmann::ordered_json;

void write(JsonWriter& json, const nl::Statistics& statistics) {
  json.begin_object()
      .member("connections", statistics.connections)
      .member("inPackets", statistics.in_packets)
      .member("outPackets", statistics.out_packets)
      .member("inBytes", statistics.in_bytes)
      .member("outBytes", statistics.out_bytes)
      .member("connectionsPerSecond", statistics.connection_rate)
      .member("inPacketsPerSecond", statistics.in_packet_rate)
      .member("outPacketsPerSecond", statistics.out_packet_rate)
      .member("inBytesPerSecond", statistics.in_byte_rate)
      .member("outBytesPerSecond", statistics.out_byte_rate)
      .end_object();
}

void write(JsonWriter& json, const nl::Tunnel& tunnel) {
  json.begin_object().member("type", tunnel_name(tunnel.type));
  if (tunnel.type == nl::TunnelType::gue) json.member("port", tunnel.port.number);
  if (tunnel.type != nl::TunnelType::ipip) json.member("checksum", checksum_name(tunnel.flags));
  json.end_object();
}

void write_pod(JsonWriter& json, const IpAddress& address, const Names& names) {
  const auto* pod = names.pod_at(address);
  if (pod == nullptr) return;
  json.key("pod").begin_object().member("namespace", pod->ns).member("name", pod->name).end_object();
}

void write_service(JsonWriter& json, const VirtualServerKey& key, const Names& names) {
  const auto* frontend = names.of(key);
  if (frontend == nullptr) return;
  json.key("service")
      .begin_object()
      .member("namespace", frontend->service.ns)
      .member("name", frontend->service.name)
      .member("port", frontend->port)
      .member("nodePort", frontend->node_port)
      .end_object();
}

void write(JsonWriter& json, const nl::DestinationRecord& record, const Names& names) {
  const auto& observed = record.observed;
  const Destination& destination = observed.destination;
  json.begin_object()
      .member("family", to_string(destination.key.address.family()))
      .member("address", destination.key.address.to_string())
      .member("port", destination.key.port.number);
  write_pod(json, destination.key.address, names);
  json.member("forward", forward_name(destination.method));
  if (destination.method == ForwardMethod::tunnel) {
    json.key("tunnel");
    write(json, record.tunnel);
  }
  json.member("weight", destination.weight)
      .member("draining", destination.weight == 0)
      .member("upperThreshold", destination.upper_threshold)
      .member("lowerThreshold", destination.lower_threshold)
      .member("activeConnections", observed.active_connections)
      .member("inactiveConnections", observed.inactive_connections)
      .member("persistentConnections", observed.persistent_connections)
      .key("statistics");
  write(json, record.statistics);
  json.end_object();
}

void write_key(JsonWriter& json, const VirtualServerKey& key) {
  json.member("family", to_string(key.family()));
  if (key.fwmark != 0) {
    json.member("fwmark", key.fwmark);
  } else {
    json.member("protocol", to_string(key.protocol))
        .member("address", key.address.to_string())
        .member("port", key.port.number);
  }
}

void write(JsonWriter& json, const nl::VirtualServerRecord& record, const Names& names) {
  const VirtualServer& server = record.server;
  write_key(json, server.key);
  write_service(json, server.key, names);
  json.member("scheduler", server.scheduler).key("schedulerFlags").begin_array();
  for (const auto& flag : scheduler_flags(server)) json.value(flag);
  json.end_array().member("onePacket", (server.flags & flag_one_packet) != 0);
  if ((server.flags & flag_persistent) != 0) {
    json.key("persistence").begin_object().member("timeoutSeconds", server.timeout);
    if (const auto network = client_network(record); !network.empty()) json.member("clientNetwork", network);
    if (!record.persistence_engine.empty()) json.member("engine", record.persistence_engine);
    json.end_object();
  }
  json.key("statistics");
  write(json, record.statistics);
}

void write(JsonWriter& json, const ObservedLink& link) {
  json.begin_object().member("name", ipvs_link_name).member("present", link.present).key("addresses").begin_array();
  for (const auto& address : link.addresses)
    json.begin_object()
        .member("family", to_string(address.address.family()))
        .member("address", address.address.to_string())
        .member("prefixLength", address.prefix)
        .end_object();
  json.end_array().key("routes").begin_array();
  for (const auto& route : link.routes) {
    json.begin_object()
        .member("family", to_string(route.destination.family()))
        .member("destination", route.destination.to_string());
    if (route.source) json.member("source", route.source->to_string());
    json.end_object();
  }
  json.end_array().end_object();
}

void write(JsonWriter& json, const ObservedSet& set) {
  json.begin_object()
      .member("name", set.set.name())
      .member("family", to_string(set.set.family))
      .member("type", to_string(set.set.type()));
  if (!set.error.empty()) {
    json.member("error", set.error).end_object();
    return;
  }
  json.member("count", set.count);
  if (set.members) {
    json.key("members").begin_array();
    for (const auto& member : *set.members) json.value(member.element());
    json.end_array();
  }
  json.end_object();
}

void write(JsonWriter& json, const ObservedRules& rules) {
  json.begin_object().member("family", to_string(rules.family));
  if (!rules.error.empty()) {
    json.member("error", rules.error).end_object();
    return;
  }
  if (!rules.backend.empty()) json.member("backend", rules.backend);
  json.key("chains").begin_array();
  for (const auto& chain : rules.chains) {
    json.begin_object().member("table", chain.table).member("name", chain.name).key("rules").begin_array();
    for (const auto& rule : chain.rules) json.value(rule);
    json.end_array().end_object();
  }
  json.end_array().end_object();
}

// The members behind the virtual servers, each on a line of its own.
std::string rest_text(const Observation& observation) {
  std::string text = "\"link\":";
  JsonWriter link(text);
  write(link, observation.link);
  text += ",\n\"sets\":";
  JsonWriter sets(text);
  sets.begin_array();
  for (const auto& set : observation.sets) write(sets, set);
  sets.end_array();
  if (observation.timeouts) {
    text += ",\n\"timeouts\":";
    JsonWriter(text)
        .begin_object()
        .member("tcpSeconds", observation.timeouts->tcp.count())
        .member("tcpFinSeconds", observation.timeouts->tcp_fin.count())
        .member("udpSeconds", observation.timeouts->udp.count())
        .end_object();
  }
  if (!observation.sysctls.empty()) {
    text += ",\n\"sysctls\":";
    JsonWriter json(text);
    json.begin_object();
    for (const auto& [name, value] : observation.sysctls) json.member(name, value);
    json.end_object();
  }
  if (!observation.rules.empty()) {
    text += ",\n\"rules\":";
    JsonWriter json(text);
    json.begin_array();
    for (const auto& rules : observation.rules) write(json, rules);
    json.end_array();
  }
  return text;
}

}  // namespace

std::string json_head() { return R"({"apiVersion":"kube-ipvsd/v1","kind":"Dump","virtualServers":[)"; }

void append_json(std::string& out, const ObservedServer& server, const Names& names) {
  JsonWriter json(out);
  json.begin_object();
  write(json, server.record, names);
  json.key("destinations").begin_array();
  for (const auto& destination : server.destinations) write(json, destination, names);
  json.end_array().end_object();
}

std::string json_text(const ObservedServer& server, const Names& names) {
  std::string text;
  append_json(text, server, names);
  return text;
}

std::string json_tail(const Observation& observation) { return "],\n" + rest_text(observation); }

std::string json_connections_head() { return ",\n\"connections\":["; }

std::string json_text(const Connection& connection, const Names& names) {
  std::string text;
  JsonWriter json(text);
  const VirtualServerKey key{connection.address, connection.protocol, connection.port, 0};
  json.begin_object();
  if (connection.protocol != Protocol::none) json.member("protocol", to_string(connection.protocol));
  json.member("clientAddress", connection.client.to_string())
      .member("clientPort", connection.client_port.number)
      .member("address", connection.address.to_string())
      .member("port", connection.port.number);
  write_service(json, key, names);
  json.member("destinationAddress", connection.destination.address.to_string())
      .member("destinationPort", connection.destination.port.number);
  write_pod(json, connection.destination.address, names);
  json.member("state", connection.state).member("expiresSeconds", connection.expires).end_object();
  return text;
}

std::string json_end(bool with_connections) { return with_connections ? "]}\n" : "}\n"; }

std::string yaml_head(const Observation& observation) {
  return fmt::format("apiVersion: kube-ipvsd/v1\nkind: Dump\nvirtualServers:{}\n",
                     observation.servers.empty() ? " []" : "");
}

std::string yaml_text(const ObservedServer& server, const Names& names) {
  return yaml_item(Json::parse(json_text(server, names)));
}

std::string yaml_tail(const Observation& observation) {
  return yaml_text(Json::parse("{" + rest_text(observation) + "}"));
}

std::string yaml_text(const Connection& connection, const Names& names) {
  return yaml_item(Json::parse(json_text(connection, names)));
}

}  // namespace ipvsd::ctl
