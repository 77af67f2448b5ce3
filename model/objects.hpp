// What the Kubernetes API says, reduced to what a service proxy needs. Decoders fill these; everything here is
// validated and canonical. `==` decides whether an event changed anything.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/ip.hpp"
#include "model/shared.hpp"

namespace ipvsd {

// Namespace and name of an object; a Node's namespace is empty.
struct ObjectKey {
  std::string ns;
  std::string name;
  [[nodiscard]] std::string to_string() const { return ns.empty() ? name : ns + "/" + name; }
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

enum class ServiceType : std::uint8_t { cluster_ip, node_port, load_balancer, external_name };
enum class TrafficPolicy : std::uint8_t { cluster, local };

struct ServicePort {
  std::string name;  // joins with EndpointPort::name; "" is the unnamed port
  Protocol protocol = Protocol::tcp;
  Port port;
  Port node_port;  // 0: none
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct Service {
  ObjectKey key;
  std::string uid;                     // names the object in Events
  std::chrono::sys_seconds created{};  // the older of two claimants keeps an address
  ServiceType type = ServiceType::cluster_ip;
  // Carries the label service.kubernetes.io/headless or .../service-proxy-name: not ours to serve. Such an
  // object counts as absent.
  bool ignored = false;
  std::vector<IpAddress> cluster_ips;  // at most one per family; empty if headless or ExternalName
  std::vector<IpAddress> external_ips;
  std::vector<IpAddress> load_balancer_ips;      // status.loadBalancer.ingress with ipMode VIP (or unset)
  std::vector<Cidr> source_ranges;               // spec.loadBalancerSourceRanges
  std::optional<std::chrono::seconds> affinity;  // sessionAffinity ClientIP and its timeout, 1..86400 s
  TrafficPolicy internal_policy = TrafficPolicy::cluster;
  // Local only where the API gives it a meaning: LoadBalancer, NodePort, or ClusterIP with external IPs.
  TrafficPolicy external_policy = TrafficPolicy::cluster;
  Port health_check_node_port;  // 0 unless type LoadBalancer with external policy Local
  std::vector<ServicePort> ports;
  friend bool operator==(const Service&, const Service&) = default;
};

struct EndpointPort {
  std::string name;
  Protocol protocol = Protocol::tcp;
  Port port;  // never 0: "all ports" entries are dropped by the decoder
  friend bool operator==(const EndpointPort&, const EndpointPort&) = default;
};

struct Endpoint {
  IpAddress address;  // addresses[0]
  bool ready = true;
  bool serving = true;  // a missing condition defers to ready (EndpointConditions in the API reference)
  bool terminating = false;
  std::uint32_t pod_begin = 0;  // its pod in EndpointSlice::pod_names, see pod_of()
  std::uint16_t pod_size = 0;
  Shared<std::string> node_name;               // "": unknown, never local
  Shared<std::vector<std::string>> for_zones;  // hints.forZones[].name
  Shared<std::vector<std::string>> for_nodes;  // hints.forNodes[].name (KEP-3015)
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct EndpointSlice {
  ObjectKey key;
  std::string service;   // label kubernetes.io/service-name, same namespace; "": owned by no Service
  bool ignored = false;  // as in Service
  Family family = Family::ipv4;
  std::vector<EndpointPort> ports;
  std::vector<Endpoint> endpoints;
  // targetRef.name of the endpoints of kind Pod, one after another: a string each would be most of what a slice costs.
  std::string pod_names;
  std::optional<IpAddress> wrong_family{};  // the first address left out because it is not of `family`
  // When the change began that this version tells of: annotation endpoints.kubernetes.io/last-change-trigger-time.
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> triggered{};
  friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;

  // The pod behind one of `endpoints`, for people only; "" where there is none.
  [[nodiscard]] std::string_view pod_of(const Endpoint& endpoint) const {
    return std::string_view(pod_names).substr(endpoint.pod_begin, endpoint.pod_size);
  }
  // `name`: at most 65,535 bytes.
  void set_pod(Endpoint& endpoint, std::string_view name);
};

struct Node {
  std::string name;
  std::string zone;                  // label topology.kubernetes.io/zone
  std::vector<IpAddress> addresses;  // status.addresses: InternalIPs, then ExternalIPs
  std::vector<Cidr> pod_cidrs;       // spec.podCIDRs
  // False while the Node is being deleted or tainted ToBeDeletedByClusterAutoscaler (KEP-3836).
  bool eligible = true;
  friend bool operator==(const Node&, const Node&) = default;
};

// So many objects of a kind are listed and held at most: far above what etcd holds. A server, or whoever writes
// manifests, that never comes to an end would fill the memory.
inline constexpr std::size_t default_object_limit = 1'000'000;

using Object = std::variant<Service, EndpointSlice, Node>;
enum class Kind : std::uint8_t { service, endpoint_slice, node };
[[nodiscard]] std::string_view to_string(Kind kind);
[[nodiscard]] Kind kind_of(const Object& object);
[[nodiscard]] ObjectKey key_of(const Object& object);

// A decoded object and what was wrong with parts of it that could be left out without losing the rest
// ("spec.externalIPs[1]: ..."). `created` and `uid` and the like never warn.
template <class T>
struct Decoded {
  T object;
  std::vector<std::string> warnings;
};

}  // namespace ipvsd

// Not noexcept: so libstdc++'s maps keep it with the key, and do not read the names of neighbours to know it.
template <>
struct std::hash<ipvsd::ObjectKey> {
  std::size_t operator()(const ipvsd::ObjectKey& key) const {
    std::size_t seed = std::hash<std::string>{}(key.ns);
    ipvsd::hash_mix(seed, std::hash<std::string>{}(key.name));
    return seed;
  }
};
