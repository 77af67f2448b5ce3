// The resources that the API server stand-in serves, and what a real API server adds to their objects.
// Source: Kubernetes API reference and recordings of kube-apiserver 1.32.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace ipvsd::fake {

using Json = nlohmann::ordered_json;

struct Resource {
  std::string plural;       // "services"
  std::string kind;         // "Service"
  std::string group;        // "" or "discovery.k8s.io"
  std::string api_version;  // "v1" or "discovery.k8s.io/v1"
  std::string root;         // "/api/v1" or "/apis/discovery.k8s.io/v1"
  bool namespaced = true;
};

// Services, EndpointSlices, Nodes.
[[nodiscard]] const std::vector<Resource>& resources();
[[nodiscard]] const Resource* resource_of_kind(const std::string& kind);

// A request path below a resource: ".../namespaces/NS/services/NAME/status".
struct ObjectPath {
  const Resource* resource = nullptr;
  std::string ns;           // "": all namespaces, or a Node
  std::string name;         // "": the collection
  std::string subresource;  // "" or "status"
};
[[nodiscard]] std::optional<ObjectPath> parse_path(const std::string& path);

struct Reply {
  int status = 200;
  Json body;
  std::optional<int> retry_after;
};

// metav1.Status of a failure. `details` is left out if null.
[[nodiscard]] Json status_body(int code, const std::string& reason, const std::string& message,
                               const Json& details = nullptr);
[[nodiscard]] Reply refuse(int code, const std::string& reason, const std::string& message,
                           const Json& details = nullptr);

// Fills in what a POST leaves out: protocols, target ports, affinity, policies, IP families, load balancer
// ipMode. A Service without clusterIP gets one from 10.96.240.0/20, `counter` apart. Node ports are not
// allocated.
void set_defaults(const Resource& resource, Json& object, std::uint32_t counter);

// What the metadata of a bookmark hangs on: an otherwise empty object.
[[nodiscard]] Json bookmark(const Resource& resource, std::uint64_t version, bool initial_events_end);

}  // namespace ipvsd::fake
