// One kind each, from a parsed object; the parts of Decoder. The key is set by the caller. A refused field ends up
// in the value's Reading, and the object is then worthless.
#pragma once

#include "daemon/source/common_names.hpp"
#include "daemon/source/json_value.hpp"
#include "model/objects.hpp"

namespace ipvsd {

void decode_service(const JsonValue& root, Service& service);
void decode_endpoint_slice(const JsonValue& root, EndpointSlice& slice, CommonNames& names);
void decode_node(const JsonValue& root, Node& node);

// Labels service.kubernetes.io/headless and service.kubernetes.io/service-proxy-name: tested for existence only.
[[nodiscard]] bool is_ignored(const JsonValue& labels);

// "" and missing mean TCP. Refuses other names than TCP, UDP and SCTP.
[[nodiscard]] Protocol decode_protocol(const JsonValue& value);

// Warns and returns nothing if the text is no address. Surrounding white space is dropped, blank is nothing.
[[nodiscard]] std::optional<IpAddress> decode_address(const JsonValue& value);
// An address to bind on the node; also refuses, with a warning, those that would take over the node's own.
[[nodiscard]] std::optional<IpAddress> decode_vip(const JsonValue& value);
[[nodiscard]] std::optional<Cidr> decode_cidr(const JsonValue& value);

template <class T>
void add_once(std::vector<T>& list, const T& value) {
  for (const auto& known : list)
    if (known == value) return;
  list.push_back(value);
}

}  // namespace ipvsd
