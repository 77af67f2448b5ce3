// What the API server would have filled in before it served an object, as far as the decoder does not take it for
// granted anyway (protocol, policies, affinity and conditions it does).
#pragma once

#include "daemon/source/json_value.hpp"
#include "model/objects.hpp"

namespace ipvsd {

inline constexpr std::string_view default_namespace = "default";

// Cluster IPs whose families are not given; refuses a Service that would need one allocated.
void manifest_defaults(const JsonValue& root, Service& service);
// Warns of a slice that belongs to no Service.
void manifest_defaults(const JsonValue& root, const EndpointSlice& slice);

}  // namespace ipvsd
