#include "daemon/source/decode_kinds.hpp"

namespace ipvsd {

void decode_node(const JsonValue& root, Node& node) {
  const auto metadata = root.field("metadata");
  const auto labels = metadata.field("labels");
  node.zone = labels.field("topology.kubernetes.io/zone").name();
  if (metadata.field("deletionTimestamp").present()) node.eligible = false;

  const auto spec = root.field("spec");
  const auto taints = spec.field("taints");
  taints.each([&](const JsonValue& taint) {
    if (taint.field("key").text() == "ToBeDeletedByClusterAutoscaler") node.eligible = false;
  });
  const auto pod_cidrs = spec.field("podCIDRs");
  pod_cidrs.each([&](const JsonValue& item) {
    if (const auto cidr = decode_cidr(item)) add_once(node.pod_cidrs, *cidr);
  });

  const auto status = root.field("status");
  const auto addresses = status.field("addresses");
  for (const auto* wanted : {"InternalIP", "ExternalIP"})
    addresses.each([&](const JsonValue& item) {
      if (item.field("type").text() != wanted) return;
      const auto text = item.field("address");
      if (const auto address = decode_address(text)) add_once(node.addresses, *address);
    });
}

}  // namespace ipvsd
