#include "reconcile/plan.hpp"

#include <algorithm>

namespace ipvsd {

bool Plan::empty() const {
  return std::all_of(phases.begin(), phases.end(), [](const auto& phase) { return phase.empty(); });
}

std::size_t Plan::size() const {
  std::size_t size = 0;
  for (const auto& phase : phases) size += phase.size();
  return size;
}

void Plan::clear() {
  for (auto& phase : phases) phase.clear();
}

void Plan::give_back_room() {
  constexpr std::size_t kept = 1024;
  for (auto& phase : phases)
    if (phase.capacity() > kept) phase = std::vector<Operation>();
}

std::vector<Operation> Plan::flat() const {
  std::vector<Operation> all;
  all.reserve(size());
  for (const auto& phase : phases) all.insert(all.end(), phase.begin(), phase.end());
  return all;
}

SetOrder set_order(SetKind kind) {
  switch (kind) {
    case SetKind::ipvs_ips: return {false, 0};
    case SetKind::loop_back: return {false, 1};
    case SetKind::load_balancer_source_cidr: return {false, 2};
    case SetKind::load_balancer_source_ip: return {false, 3};
    case SetKind::load_balancer_fw: return {false, 4};
    case SetKind::load_balancer_local: return {false, 5};
    // A NodePort whose policy is Local must not be masqueraded for a moment.
    case SetKind::node_port_local_tcp: return {false, 6};
    case SetKind::node_port_local_udp: return {false, 7};
    case SetKind::node_port_local_sctp: return {false, 8};
    case SetKind::node_port_tcp: return {false, 9};
    case SetKind::node_port_udp: return {false, 10};
    case SetKind::node_port_sctp: return {false, 11};
    case SetKind::cluster_ip: return {true, 0};
    case SetKind::external_ip: return {true, 1};
    case SetKind::external_ip_local: return {true, 2};
    case SetKind::load_balancer: return {true, 3};
    case SetKind::health_check_node_port: return {true, 4};
    case SetKind::marks: return {false, 12};
    case SetKind::outside: return {false, 13};  // planned with its frontend
  }
  return {};
}

}  // namespace ipvsd
