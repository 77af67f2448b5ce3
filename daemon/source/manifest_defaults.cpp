#include "daemon/source/manifest_defaults.hpp"

#include <algorithm>

#include "daemon/source/decode_kinds.hpp"

namespace ipvsd {

void manifest_defaults(const JsonValue& root, Service& service) {
  if (service.type == ServiceType::external_name) return;
  const auto spec = root.field("spec");
  const auto single = spec.field("clusterIP");
  const auto list = spec.field("clusterIPs");
  if (single.text() == "None") return;

  std::vector<IpAddress> addresses;
  std::size_t listed = 0;
  bool headless = false;
  const auto add = [&](const JsonValue& value) {
    ++listed;
    if (value.text() == "None") headless = true;
    const auto address = headless ? std::nullopt : decode_vip(value);
    if (!address) return;
    const auto same_family = [&](const IpAddress& other) { return other.family() == address->family(); };
    if (std::none_of(addresses.begin(), addresses.end(), same_family)) addresses.push_back(*address);
  };
  bool has_families = false;
  const auto families_field = spec.field("ipFamilies");
  families_field.each([&](const JsonValue&) { has_families = true; });
  if (list.present()) {
    // With all three given, the decoder has matched them already.
    if (has_families && !single.text().empty()) return;
    list.each(add);
  }
  if (listed == 0 && !single.text().empty()) add(single);
  if (listed == 0) return single.refuse("needed in a manifest, since no API server allocates one; or None");
  service.cluster_ips = headless ? std::vector<IpAddress>{} : std::move(addresses);
}

void manifest_defaults(const JsonValue& root, const EndpointSlice& slice) {
  if (!slice.service.empty()) return;
  const auto metadata = root.field("metadata");
  const auto labels = metadata.field("labels");
  labels.field("kubernetes.io/service-name").warn("missing, so the slice belongs to no Service");
}

}  // namespace ipvsd
