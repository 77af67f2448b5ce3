#include "bench/objects.hpp"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>

namespace ipvsd::bench {
namespace {

constexpr std::size_t addresses_per_service = 32;

std::string dotted(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
}

constexpr std::uint32_t first_cluster_ip = 10U << 24 | 64U << 16;

std::string cluster_ip(std::size_t index) { return dotted(first_cluster_ip + 1 + static_cast<std::uint32_t>(index)); }

constexpr std::uint32_t first_pod_ip = 10U << 24 | 128U << 16;

std::string pod_ip(std::size_t index, std::size_t endpoint) {
  return dotted(first_pod_ip + static_cast<std::uint32_t>(index * addresses_per_service + endpoint));
}

std::string space_of(std::size_t index) {
  if (index == 0) return "default";
  if (index == 1) return "kube-system";
  return fmt::format("team-{:02}", index % 40);
}

std::string name_of(std::size_t index) {
  if (index == 0) return "kubernetes";
  if (index == 1) return "kube-dns";
  return fmt::format("app-{:05}", index);
}

std::string uid_of(std::size_t index, std::size_t salt) {
  const std::uint64_t mixed = (index * 2 + salt + 1) * 0x9e3779b97f4a7c15ULL;
  return fmt::format("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", mixed >> 32, (mixed >> 16) & 0xffff, mixed & 0xfff,
                     (mixed >> 20) & 0xfff, mixed & 0xffffffffffff);
}

std::string service_body(const Cluster& cluster, std::size_t index, std::uint64_t version) {
  const auto name = name_of(index);
  const auto protocol = to_string(cluster.protocol);
  const auto ip = cluster_ip(index);
  return fmt::format(
      R"("metadata":{{"name":"{0}","namespace":"{1}","uid":"{2}","resourceVersion":"{3}",)"
      R"("creationTimestamp":"2026-11-20T10:12:33Z","labels":{{"app":"{0}","app.kubernetes.io/managed-by":"Helm"}},)"
      R"("annotations":{{"meta.helm.sh/release-name":"{0}","meta.helm.sh/release-namespace":"{1}"}},)"
      R"("managedFields":[{{"manager":"helm","operation":"Update","apiVersion":"v1","time":"2026-11-20T10:12:33Z",)"
      R"("fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:meta.helm.sh/release-name":{{}},)"
      R"("f:meta.helm.sh/release-namespace":{{}}}},"f:labels":{{".":{{}},"f:app":{{}},"f:app.kubernetes.io/managed-by":{{}}}}}},)"
      R"("f:spec":{{"f:internalTrafficPolicy":{{}},"f:ports":{{".":{{}},"k:{{\"port\":80,\"protocol\":\"{4}\"}}":{{".":{{}},)"
      R"("f:name":{{}},"f:port":{{}},"f:protocol":{{}},"f:targetPort":{{}}}}}},"f:selector":{{}},"f:sessionAffinity":{{}},)"
      R"("f:type":{{}}}}}}}}]}},"spec":{{"ports":[{{"name":"http","protocol":"{4}","port":80,"targetPort":8080}}],)"
      R"("selector":{{"app":"{0}"}},"clusterIP":"{5}","clusterIPs":["{5}"],"type":"ClusterIP","sessionAffinity":"None",)"
      R"("ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster"}},)"
      R"("status":{{"loadBalancer":{{}}}})",
      name, space_of(index), uid_of(index, 0), version, protocol, ip);
}

std::string endpoint_body(std::size_t index, std::size_t endpoint) {
  const std::size_t node = (index * 10 + endpoint) % 100;
  return fmt::format(R"({{"addresses":["{}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},)"
                     R"("targetRef":{{"kind":"Pod","namespace":"{}","name":"{}-5d9c7b8f6d-{:05x}","uid":"{}"}},)"
                     R"("nodeName":"node-{:04}.example.internal","zone":"zone-{}"}})",
                     pod_ip(index, endpoint), space_of(index), name_of(index), index * addresses_per_service + endpoint,
                     uid_of(index * addresses_per_service + endpoint, 1), node, static_cast<char>('a' + node % 3));
}

std::string slice_body(const Cluster& cluster, std::size_t index, std::size_t first, std::uint64_t version) {
  const auto name = name_of(index);
  std::string text = fmt::format(
      R"("metadata":{{"name":"{0}-{6:05x}","generateName":"{0}-","namespace":"{1}","uid":"{2}","resourceVersion":"{3}",)"
      R"("generation":3,"creationTimestamp":"2026-11-20T10:12:33Z","labels":{{"app":"{0}",)"
      R"("endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"{0}"}},)"
      R"("annotations":{{"endpoints.kubernetes.io/last-change-trigger-time":"2026-11-20T10:12:35Z"}},)"
      R"("ownerReferences":[{{"apiVersion":"v1","kind":"Service","name":"{0}","uid":"{4}","controller":true,)"
      R"("blockOwnerDeletion":true}}],"managedFields":[{{"manager":"kube-controller-manager","operation":"Update",)"
      R"("apiVersion":"discovery.k8s.io/v1","time":"2026-11-20T10:12:35Z","fieldsType":"FieldsV1","fieldsV1":)"
      R"({{"f:addressType":{{}},"f:endpoints":{{}},"f:metadata":{{"f:annotations":{{".":{{}},)"
      R"("f:endpoints.kubernetes.io/last-change-trigger-time":{{}}}},"f:generateName":{{}},"f:labels":{{".":{{}},"f:app":{{}},)"
      R"("f:endpointslice.kubernetes.io/managed-by":{{}},"f:kubernetes.io/service-name":{{}}}},"f:ownerReferences":{{".":{{}},)"
      R"("k:{{\"uid\":\"{4}\"}}":{{}}}}}},"f:ports":{{}}}}}}]}},"addressType":"IPv4","ports":[{{"name":"http",)"
      R"("protocol":"{5}","port":8080}}],"endpoints":[)",
      name, space_of(index), uid_of(index, 2), version, uid_of(index, 0), to_string(cluster.protocol), index);
  for (std::size_t i = 0; i < cluster.endpoints; ++i) text += (i > 0 ? "," : "") + endpoint_body(index, first + i);
  return text + "]";
}

template <class Body>
void write_list(const std::string& path, const char* kind, const char* version, std::size_t count, Body body) {
  std::ofstream file(path);
  file << fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"7419"}},"items":[)", kind,
                      version);
  for (std::size_t i = 0; i < count; ++i) file << (i > 0 ? "," : "") << '{' << body(i) << '}';
  file << "]}\n";
  file.flush();
  if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace

void write_lists(const Cluster& cluster, const std::string& directory) {
  write_list(directory + "/services.json", "ServiceList", "v1", cluster.services,
             [&](std::size_t i) { return service_body(cluster, i, 1000 + i); });
  write_list(directory + "/endpointslices.json", "EndpointSliceList", "discovery.k8s.io/v1", cluster.services,
             [&](std::size_t i) { return slice_body(cluster, i, 0, 1000 + i); });
  write_list(directory + "/nodes.json", "NodeList", "v1", 1, [&](std::size_t) {
    return fmt::format(R"("metadata":{{"name":"{}","labels":{{"topology.kubernetes.io/zone":"zone-a"}}}},)"
                       R"("spec":{{"podCIDRs":["10.128.0.0/24"]}},)"
                       R"("status":{{"addresses":[{{"type":"InternalIP","address":"192.0.2.1"}}]}})",
                       this_node);
  });
}

std::string slice_frame(const Cluster& cluster, std::size_t index, std::size_t first, std::uint64_t version,
                        const char* type) {
  return fmt::format(R"({{"type":"{}","object":{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1",{}}}}})"
                     "\n",
                     type, slice_body(cluster, index, first, version));
}

std::string service_frame(const Cluster& cluster, std::size_t index, std::uint64_t version, const char* type) {
  return fmt::format(R"({{"type":"{}","object":{{"kind":"Service","apiVersion":"v1",{}}}}})"
                     "\n",
                     type, service_body(cluster, index, version));
}

Place place_of(const IpAddress& pod) {
  std::uint32_t number = 0;
  for (const auto byte : pod.bytes()) number = number << 8 | byte;
  number -= first_pod_ip;
  return {number / addresses_per_service, number % addresses_per_service};
}

Cidr service_cidr() { return *Cidr::parse(dotted(first_cluster_ip) + "/16"); }

}  // namespace ipvsd::bench
