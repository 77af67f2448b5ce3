#include "daemon/serve/ctl_objects.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ipvsd {
namespace {

using Json = nlohmann::ordered_json;

// Tested for existence only, so the value is free.
constexpr const char* ignored_label = "service.kubernetes.io/service-proxy-name";

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json metadata(const ObjectKey& key, bool ignored) {
  Json json{{"name", key.name}};
  if (!key.ns.empty()) json["namespace"] = key.ns;
  json["labels"] = Json::object();
  if (ignored) json["labels"][ignored_label] = "";
  return json;
}

template <class T>
Json texts(const std::vector<T>& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(value.to_string());
  return list;
}

std::string_view type_name(ServiceType type) {
  switch (type) {
    case ServiceType::cluster_ip: break;
    case ServiceType::node_port: return "NodePort";
    case ServiceType::load_balancer: return "LoadBalancer";
    case ServiceType::external_name: return "ExternalName";
  }
  return "ClusterIP";
}

std::string_view policy_name(TrafficPolicy policy) { return policy == TrafficPolicy::local ? "Local" : "Cluster"; }

Json ports_of(const Service& service) {
  Json ports = Json::array();
  for (const auto& port : service.ports) {
    Json json{{"name", port.name}, {"protocol", to_string(port.protocol)}, {"port", port.port.number}};
    if (port.node_port.number != 0) json["nodePort"] = port.node_port.number;
    ports.push_back(std::move(json));
  }
  return ports;
}

Json spec_of(const Service& service) {
  Json spec{{"type", type_name(service.type)},
            {"clusterIP", service.cluster_ips.empty() ? "None" : service.cluster_ips.front().to_string()},
            {"clusterIPs", texts(service.cluster_ips)},
            {"ipFamilies", Json::array()},
            {"externalIPs", texts(service.external_ips)},
            {"loadBalancerSourceRanges", texts(service.source_ranges)},
            {"internalTrafficPolicy", policy_name(service.internal_policy)},
            {"externalTrafficPolicy", policy_name(service.external_policy)},
            {"ports", ports_of(service)}};
  for (const auto& address : service.cluster_ips) spec["ipFamilies"].push_back(to_string(address.family()));
  if (service.affinity) {
    spec["sessionAffinity"] = "ClientIP";
    spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] = service.affinity->count();
  }
  if (service.health_check_node_port.number != 0) spec["healthCheckNodePort"] = service.health_check_node_port.number;
  return spec;
}

Json named(const std::vector<std::string>& names) {
  Json list = Json::array();
  for (const auto& name : names) list.push_back({{"name", name}});
  return list;
}

Json json_of(const EndpointSlice& slice, const Endpoint& endpoint) {
  Json json{{"addresses", {endpoint.address.to_string()}},
            {"conditions",
             {{"ready", endpoint.ready}, {"serving", endpoint.serving}, {"terminating", endpoint.terminating}}}};
  if (!endpoint.node_name->empty()) json["nodeName"] = *endpoint.node_name;
  if (const auto pod = slice.pod_of(endpoint); !pod.empty()) json["targetRef"] = {{"kind", "Pod"}, {"name", pod}};
  if (!endpoint.for_zones->empty()) json["hints"]["forZones"] = named(*endpoint.for_zones);
  if (!endpoint.for_nodes->empty()) json["hints"]["forNodes"] = named(*endpoint.for_nodes);
  return json;
}

}  // namespace

std::string encode(const Service& service) {
  Json json{{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", metadata(service.key, service.ignored)}};
  if (!service.uid.empty()) json["metadata"]["uid"] = service.uid;
  if (service.created != std::chrono::sys_seconds{})
    json["metadata"]["creationTimestamp"] =
        fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(service.created)));
  json["spec"] = spec_of(service);
  Json ingress = Json::array();
  for (const auto& address : service.load_balancer_ips) ingress.push_back({{"ip", address.to_string()}});
  json["status"]["loadBalancer"]["ingress"] = std::move(ingress);
  return text_of(json);
}

std::string encode(const EndpointSlice& slice) {
  Json json{{"apiVersion", "discovery.k8s.io/v1"},
            {"kind", "EndpointSlice"},
            {"metadata", metadata(slice.key, slice.ignored)},
            {"addressType", to_string(slice.family)},
            {"ports", Json::array()},
            {"endpoints", Json::array()}};
  if (!slice.service.empty()) json["metadata"]["labels"]["kubernetes.io/service-name"] = slice.service;
  for (const auto& port : slice.ports)
    json["ports"].push_back({{"name", port.name}, {"protocol", to_string(port.protocol)}, {"port", port.port.number}});
  for (const auto& endpoint : slice.endpoints) json["endpoints"].push_back(json_of(slice, endpoint));
  return text_of(json);
}

std::string encode(const Node& node) {
  Json json{{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", node.name}, {"labels", Json::object()}}}};
  if (!node.zone.empty()) json["metadata"]["labels"]["topology.kubernetes.io/zone"] = node.zone;
  json["spec"]["podCIDRs"] = texts(node.pod_cidrs);
  if (!node.eligible) json["spec"]["taints"] = {{{"key", "ToBeDeletedByClusterAutoscaler"}, {"effect", "NoSchedule"}}};
  json["status"]["addresses"] = Json::array();
  for (const auto& address : node.addresses)
    json["status"]["addresses"].push_back({{"type", "InternalIP"}, {"address", address.to_string()}});
  return text_of(json);
}

}  // namespace ipvsd
