#include "test/fake/api_objects.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ipvsd::fake {
namespace {

std::vector<std::string> segments(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const auto end = std::min(text.find('/', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void put_default(Json& object, const std::string& field, const Json& value) {
  if (!object.contains(field)) object[field] = value;
}

std::string family_of(const Json& address) {
  return address.get<std::string>().find(':') == std::string::npos ? "IPv4" : "IPv6";
}

void default_addresses(Json& spec, std::uint32_t counter) {
  if (!spec.contains("clusterIP") && spec.contains("clusterIPs") && !spec["clusterIPs"].empty())
    spec["clusterIP"] = spec["clusterIPs"][0];
  if (!spec.contains("clusterIP") || spec["clusterIP"] == "")
    spec["clusterIP"] = fmt::format("10.96.{}.{}", 240 + counter / 250 % 16, 1 + counter % 250);
  put_default(spec, "clusterIPs", Json::array({spec["clusterIP"]}));
  Json families = Json::array();
  if (spec["clusterIP"] == "None") {
    families.push_back("IPv4");
  } else {
    for (const auto& address : spec["clusterIPs"]) families.push_back(family_of(address));
  }
  put_default(spec, "ipFamilies", families);
  put_default(spec, "ipFamilyPolicy", spec["ipFamilies"].size() > 1 ? "RequireDualStack" : "SingleStack");
}

void default_service(Json& object, std::uint32_t counter) {
  Json& spec = object["spec"];
  put_default(spec, "type", "ClusterIP");
  put_default(spec, "sessionAffinity", "None");
  const std::string type = spec["type"];
  if (spec["sessionAffinity"] == "ClientIP" && !spec.contains("sessionAffinityConfig"))
    spec["sessionAffinityConfig"] = {{"clientIP", {{"timeoutSeconds", 10800}}}};
  if (spec.contains("ports")) {
    for (auto& port : spec["ports"]) {
      put_default(port, "protocol", "TCP");
      put_default(port, "targetPort", port["port"]);
    }
  }
  if (type != "ExternalName") {
    default_addresses(spec, counter);
    put_default(spec, "internalTrafficPolicy", "Cluster");
  }
  const bool external_ips = spec.contains("externalIPs") && !spec["externalIPs"].empty();
  if (type == "NodePort" || type == "LoadBalancer" || (type == "ClusterIP" && external_ips))
    put_default(spec, "externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer") put_default(spec, "allocateLoadBalancerNodePorts", true);

  put_default(object, "status", Json::object());
  put_default(object["status"], "loadBalancer", Json::object());
  Json& balancer = object["status"]["loadBalancer"];
  if (balancer.contains("ingress")) {
    for (auto& ingress : balancer["ingress"])
      if (ingress.contains("ip")) put_default(ingress, "ipMode", "VIP");
  }
}

void default_slice(Json& object) {
  put_default(object, "addressType", "IPv4");
  put_default(object, "endpoints", nullptr);
  put_default(object, "ports", nullptr);
  for (auto& port : object["ports"]) {
    put_default(port, "name", "");
    put_default(port, "protocol", "TCP");
  }
}

}  // namespace

const std::vector<Resource>& resources() {
  static const std::vector<Resource> all{
      {"services", "Service", "", "v1", "/api/v1", true},
      {"endpointslices", "EndpointSlice", "discovery.k8s.io", "discovery.k8s.io/v1", "/apis/discovery.k8s.io/v1", true},
      {"nodes", "Node", "", "v1", "/api/v1", false},
      {"servicecidrs", "ServiceCIDR", "networking.k8s.io", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1",
       false}};
  return all;
}

const Resource* resource_of_kind(const std::string& kind) {
  for (const auto& resource : resources())
    if (resource.kind == kind) return &resource;
  return nullptr;
}

std::optional<ObjectPath> parse_path(const std::string& path) {
  for (const auto& resource : resources()) {
    if (path.rfind(resource.root + "/", 0) != 0) continue;
    auto parts = segments(path.substr(resource.root.size()));
    ObjectPath found{&resource, "", "", ""};
    if (resource.namespaced && parts.size() >= 3 && parts[0] == "namespaces") {
      found.ns = parts[1];
      parts.erase(parts.begin(), parts.begin() + 2);
    }
    if (parts.empty() || parts.size() > 3 || parts[0] != resource.plural) continue;
    if (parts.size() > 1) found.name = parts[1];
    if (parts.size() > 2) found.subresource = parts[2];
    if (!found.subresource.empty() && found.subresource != "status") continue;
    if (resource.namespaced && found.ns.empty() && !found.name.empty()) continue;
    return found;
  }
  return std::nullopt;
}

Json status_body(int code, const std::string& reason, const std::string& message, const Json& details) {
  Json body{{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", Json::object()},
            {"status", "Failure"}, {"message", message}, {"reason", reason}};
  if (!details.is_null()) body["details"] = details;
  body["code"] = code;
  return body;
}

Reply refuse(int code, const std::string& reason, const std::string& message, const Json& details) {
  return {code, status_body(code, reason, message, details), std::nullopt};
}

void set_defaults(const Resource& resource, Json& object, std::uint32_t counter) {
  if (resource.kind == "Service") default_service(object, counter);
  if (resource.kind == "EndpointSlice") default_slice(object);
  if (resource.kind == "Node") {
    put_default(object, "spec", Json::object());
    put_default(object, "status", Json::object());
  }
}

Json bookmark(const Resource& resource, std::uint64_t version, bool initial_events_end) {
  Json object{{"kind", resource.kind}, {"apiVersion", resource.api_version}};
  object["metadata"] = {{"resourceVersion", std::to_string(version)}, {"creationTimestamp", nullptr}};
  if (initial_events_end) object["metadata"]["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  if (resource.kind == "EndpointSlice") {
    object["addressType"] = "";
    object["endpoints"] = nullptr;
    object["ports"] = nullptr;
  } else {
    object["spec"] = Json::object();
    object["status"] = resource.kind == "Service" ? Json{{"loadBalancer", Json::object()}} : Json::object();
  }
  return object;
}

}  // namespace ipvsd::fake
