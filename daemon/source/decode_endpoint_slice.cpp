#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/source/decode_kinds.hpp"
#include "daemon/source/rfc3339.hpp"

namespace ipvsd {
namespace {

// Far above what the API server accepts: 1,000 endpoints (validation.maxEndpoints), 8 hints.
constexpr std::size_t port_limit = 1000;
constexpr std::size_t endpoint_limit = 10000;
constexpr std::size_t hint_limit = 1000;

std::vector<EndpointPort> decode_ports(const JsonValue& root) {
  std::vector<EndpointPort> ports;
  const auto list = root.field("ports");
  list.each(
      [&](const JsonValue& item) {
        const auto name = item.field("name");
        EndpointPort port;
        port.name = name.name();
        port.protocol = decode_protocol(item.field("protocol"));
        port.port = item.field("port").port(0);
        if (name.present() && port.port.number != 0) ports.push_back(std::move(port));
      },
      port_limit);
  return ports;
}

Shared<std::vector<std::string>> decode_names(const JsonValue& list, CommonNames& common) {
  std::vector<std::string_view> names;
  list.each(
      [&](const JsonValue& item) {
        const auto name = item.field("name").name();
        if (!name.empty()) names.push_back(name);
      },
      hint_limit);
  return common.list(names);
}

// Of another family, it is kept in the slice's wrong_family if it is the first such.
std::optional<IpAddress> first_address(const JsonValue& item, EndpointSlice& slice) {
  const Family family = slice.family;
  std::optional<IpAddress> address;
  bool first = true;
  const auto list = item.field("addresses");
  list.each([&](const JsonValue& text) {
    if (!std::exchange(first, false)) return;
    address = decode_address(text);
    if (!address || address->family() == family) return;
    text.warn(fmt::format("{} is no {} address, as addressType says", address->to_string(), to_string(family)));
    if (!slice.wrong_family) slice.wrong_family = *address;
    address.reset();
  });
  return address;
}

std::vector<Endpoint> decode_endpoints(const JsonValue& root, EndpointSlice& slice, CommonNames& names) {
  std::vector<Endpoint> endpoints;
  const auto list = root.field("endpoints");
  const auto count = std::min(list.size(), endpoint_limit);
  endpoints.reserve(count);
  list.each(
      [&](const JsonValue& item) {
        Endpoint endpoint;
        const auto conditions = item.field("conditions");
        endpoint.ready = conditions.field("ready").boolean().value_or(true);
        endpoint.serving = conditions.field("serving").boolean().value_or(endpoint.ready);
        endpoint.terminating = conditions.field("terminating").boolean().value_or(false);
        endpoint.node_name = names.name(item.field("nodeName").name());
        const auto hints = item.field("hints");
        endpoint.for_zones = decode_names(hints.field("forZones"), names);
        endpoint.for_nodes = decode_names(hints.field("forNodes"), names);
        const auto address = first_address(item, slice);
        if (!address) return;
        endpoint.address = *address;
        const auto target = item.field("targetRef");
        if (target.field("kind").text() == "Pod") {
          const auto name = target.field("name").name();
          if (slice.pod_names.empty()) slice.pod_names.reserve(count * name.size());  // they are of about one length
          slice.set_pod(endpoint, name);
        }
        endpoints.push_back(std::move(endpoint));
      },
      endpoint_limit);
  return endpoints;
}

}  // namespace

void decode_endpoint_slice(const JsonValue& root, EndpointSlice& slice, CommonNames& names) {
  const auto metadata = root.field("metadata");
  const auto labels = metadata.field("labels");
  slice.ignored = is_ignored(labels);
  slice.service = labels.field("kubernetes.io/service-name").name();
  slice.ports = decode_ports(root);
  const auto annotations = metadata.field("annotations");
  slice.triggered = parse_rfc3339_nanos(annotations.field("endpoints.kubernetes.io/last-change-trigger-time").text());

  const auto type = root.field("addressType");
  if (type.text().empty()) return type.refuse_type("IPv4, IPv6 or FQDN");
  for (const auto family : families)
    if (type.text() == to_string(family)) {
      slice.family = family;
      slice.endpoints = decode_endpoints(root, slice, names);
      return;
    }
  type.warn(fmt::format("slices of type {} are not served", type.text().substr(0, 32)));
}

}  // namespace ipvsd
