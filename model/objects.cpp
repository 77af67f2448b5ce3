#include "model/objects.hpp"

namespace ipvsd {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::service: return "Service";
    case Kind::endpoint_slice: return "EndpointSlice";
    case Kind::node: return "Node";
  }
  return "unknown";
}

Kind kind_of(const Object& object) { return static_cast<Kind>(object.index()); }

ObjectKey key_of(const Object& object) {
  if (const auto* service = std::get_if<Service>(&object)) return service->key;
  if (const auto* slice = std::get_if<EndpointSlice>(&object)) return slice->key;
  return {"", std::get<Node>(object).name};
}

void EndpointSlice::set_pod(Endpoint& endpoint, std::string_view name) {
  endpoint.pod_begin = static_cast<std::uint32_t>(pod_names.size());
  endpoint.pod_size = static_cast<std::uint16_t>(name.size());
  pod_names += name;
}

}  // namespace ipvsd
