#include "ctl/top.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/json_writer.hpp"

namespace ipvsd::ctl {
namespace {

void add(nl::Statistics& sum, const nl::Statistics& more) {
  sum.connections += more.connections;
  sum.in_packets += more.in_packets;
  sum.out_packets += more.out_packets;
  sum.in_bytes += more.in_bytes;
  sum.out_bytes += more.out_bytes;
  sum.connection_rate += more.connection_rate;
  sum.in_packet_rate += more.in_packet_rate;
  sum.out_packet_rate += more.out_packet_rate;
  sum.in_byte_rate += more.in_byte_rate;
  sum.out_byte_rate += more.out_byte_rate;
}

std::uint64_t busyness(const nl::Statistics& sum, TopOrder order) {
  switch (order) {
    case TopOrder::connections: return sum.connection_rate;
    case TopOrder::packets: return sum.in_packet_rate + sum.out_packet_rate;
    case TopOrder::bytes: return sum.in_byte_rate + sum.out_byte_rate;
    case TopOrder::name: break;
  }
  return 0;
}

void write_rates(JsonWriter& json, const nl::Statistics& sum) {
  json.member("connections", sum.connections)
      .member("connectionsPerSecond", sum.connection_rate)
      .member("inPacketsPerSecond", sum.in_packet_rate)
      .member("outPacketsPerSecond", sum.out_packet_rate)
      .member("inBytesPerSecond", sum.in_byte_rate)
      .member("outBytesPerSecond", sum.out_byte_rate);
}

}  // namespace

std::string_view to_string(TopOrder order) {
  switch (order) {
    case TopOrder::connections: return "connections";
    case TopOrder::packets: return "packets";
    case TopOrder::bytes: return "bytes";
    case TopOrder::name: break;
  }
  return "name";
}

Result<TopOrder> parse_top_order(std::string_view text) {
  for (const auto order : top_orders)
    if (to_string(order) == text) return order;
  return fail(Errc::malformed, fmt::format("\"{}\" is no order; accepted are connections, packets, bytes and name",
                                           printable(text.substr(0, 64))));
}

std::vector<TopService> top_services(const ServerRecords& records, const Names& names) {
  std::map<std::string, TopService> by_label;
  for (const auto& record : records) {
    const auto* frontend = names.of(record.server.key);
    auto label = frontend != nullptr ? frontend->service.to_string() : record.server.key.to_string();
    auto& service = by_label[label];
    if (service.label.empty()) service.label = std::move(label);
    service.servers.push_back(record.server.key);
    add(service.sum, record.statistics);
  }
  std::vector<TopService> services;
  services.reserve(by_label.size());
  for (auto& [label, service] : by_label) services.push_back(std::move(service));
  return services;
}

void sort_services(std::vector<TopService>& services, TopOrder order) {
  std::stable_sort(services.begin(), services.end(), [&](const auto& a, const auto& b) {
    const auto x = busyness(a.sum, order);
    const auto y = busyness(b.sum, order);
    return x != y ? x > y : a.label < b.label;
  });
}

std::vector<TopEndpoint> top_endpoints(std::span<const ObservedServer> servers, const Names& names) {
  std::map<DestinationKey, TopEndpoint> by_key;
  for (const auto& server : servers) {
    for (const auto& record : server.destinations) {
      const auto& key = record.observed.destination.key;
      auto& endpoint = by_key[key];
      endpoint.label = key.to_string();
      if (const auto* pod = names.pod_at(key.address); pod != nullptr) endpoint.pod = pod->to_string();
      endpoint.weight = std::max(endpoint.weight, record.observed.destination.weight);
      endpoint.active += record.observed.active_connections;
      endpoint.inactive += record.observed.inactive_connections;
      add(endpoint.sum, record.statistics);
    }
  }
  std::vector<TopEndpoint> endpoints;
  for (auto& [key, endpoint] : by_key) endpoints.push_back(std::move(endpoint));
  return endpoints;
}

std::vector<TopService> searched(std::vector<TopService> services, std::string_view search) {
  std::erase_if(services, [&](const auto& service) { return service.label.find(search) == std::string::npos; });
  return services;
}

std::string top_json(std::span<const TopService> services, const TopEndpoints& endpoints) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("apiVersion", "kube-ipvsd/v1").member("kind", "Top").key("services").begin_array();
  for (const auto& service : services) {
    json.begin_object().member("name", service.label).key("virtualServers").begin_array();
    for (const auto& key : service.servers) json.value(key.to_string());
    json.end_array();
    write_rates(json, service.sum);
    if (const auto found = endpoints.find(service.label); found != endpoints.end()) {
      json.key("endpoints").begin_array();
      for (const auto& endpoint : found->second) {
        json.begin_object().member("name", endpoint.label);
        if (!endpoint.pod.empty()) json.member("pod", endpoint.pod);
        json.member("weight", endpoint.weight)
            .member("activeConnections", endpoint.active)
            .member("inactiveConnections", endpoint.inactive);
        write_rates(json, endpoint.sum);
        json.end_object();
      }
      json.end_array();
    }
    json.end_object();
  }
  json.end_array().end_object();
  return text + "\n";
}

}  // namespace ipvsd::ctl
