#include "reconcile/desired.hpp"

#include <algorithm>

#include "scheduler/endpoints.hpp"

namespace ipvsd {
namespace {

// Collects what one Service port of one family wants.
class PortContribution {
 public:
  PortContribution(const Service& service, const ServicePort& port, const IpAddress& cluster_ip,
                   std::span<const EndpointSlice* const> slices, const Policy& policy, const NodeView& view,
                   std::uint32_t mark, Contribution& into)
      : service_(service),
        port_(port),
        cluster_ip_(cluster_ip),
        policy_(policy),
        view_(view),
        mark_(mark),
        into_(into),
        candidates_(merge_endpoints(slices, cluster_ip.family(), port, policy.node_name)),
        selection_(select_endpoints(candidates_, policy.node_name, view.zone)) {}

  void add() {
    loop_back();
    cluster_ip();
    for (const auto& address : service_.external_ips)
      if (address.family() == family()) external_ip(address);
    for (const auto& address : service_.load_balancer_ips)
      if (address.family() == family()) load_balancer(address);
    if (port_.node_port.number != 0) node_port();
    if (mark_ != 0) outside_clients();
    missing_here();
  }

  // The addresses of ready endpoints on this node are added to `addresses`.
  void add_local(std::vector<IpAddress>& addresses) const {
    for (const auto& candidate : candidates_)
      if (candidate.local && candidate.ready) addresses.push_back(candidate.key.address);
  }

 private:
  [[nodiscard]] Family family() const { return cluster_ip_.family(); }
  [[nodiscard]] bool external_local() const { return service_.external_policy == TrafficPolicy::local; }
  [[nodiscard]] IpSet set(SetKind kind) const { return {kind, family()}; }

  // With a mark, outside clients go elsewhere. Without, an empty local list falls back to the cluster's: the pods of
  // this node can use the address still.
  [[nodiscard]] const std::vector<Destination>& external_list() const {
    return external_local() && mark_ == 0 && !selection_.local.empty() ? selection_.local : selection_.cluster;
  }

  void external_frontend(const IpAddress& address, Port port) {
    frontend({address, port_.protocol, port, 0}, external_list()).outside = {mark_,
                                                                             mark_ != 0 ? policy_.outside_mask : 0};
  }

  void outside_clients() {
    frontend({IpAddress::any(family()), Protocol::none, Port{}, mark_}, selection_.local);
    into_.entries.push_back(mark_entry(family(), mark_));
  }

  Frontend& frontend(const VirtualServerKey& key, const std::vector<Destination>& destinations) {
    VirtualServer server;
    server.key = key;
    server.scheduler = policy_.scheduler.name;
    server.flags = policy_.scheduler.flags;
    server.client_prefix = key.address.max_prefix();
    if (service_.affinity) {
      server.flags |= flag_persistent;
      server.timeout = static_cast<std::uint32_t>(service_.affinity->count());
    }
    return into_.frontends.emplace_back(Frontend{std::move(server), destinations, port_.protocol});
  }

  void bind(const IpAddress& address) {
    if (!view_.is_routed(address)) into_.addresses.push_back(address);
    into_.entries.push_back(ip_entry(set(SetKind::ipvs_ips), address));
  }

  void entry(SetKind kind, const IpAddress& address, Port port) {
    into_.entries.push_back(ip_port_entry(set(kind), address, port_.protocol, port));
  }

  void loop_back() {
    for (const auto& candidate : candidates_)
      if (candidate.local)
        into_.entries.push_back(ip_port_ip_entry(set(SetKind::loop_back), candidate.key.address, port_.protocol,
                                                 candidate.key.port, candidate.key.address));
  }

  void cluster_ip() {
    frontend({cluster_ip_, port_.protocol, port_.port, 0},
             service_.internal_policy == TrafficPolicy::local ? selection_.local : selection_.cluster);
    entry(SetKind::cluster_ip, cluster_ip_, port_.port);
    bind(cluster_ip_);
  }

  void external_ip(const IpAddress& address) {
    external_frontend(address, port_.port);
    entry(external_local() ? SetKind::external_ip_local : SetKind::external_ip, address, port_.port);
    if (!view_.has_elsewhere(address)) bind(address);
  }

  void load_balancer(const IpAddress& address) {
    external_frontend(address, port_.port);
    entry(SetKind::load_balancer, address, port_.port);
    if (external_local()) entry(SetKind::load_balancer_local, address, port_.port);
    source_ranges(address);
    if (!view_.has_elsewhere(address)) bind(address);
  }

  void source_ranges(const IpAddress& address) {
    std::vector<Cidr> ranges;
    for (const auto& range : service_.source_ranges)
      if (range.family() == family()) ranges.push_back(range);
    // A range of length 0 restricts nothing, and the kernel's hash:ip,port,net cannot hold it.
    const bool open = std::any_of(ranges.begin(), ranges.end(), [](const Cidr& range) { return range.prefix == 0; });
    if (ranges.empty() || open) return;
    bool contains_node = false;
    for (const auto& range : ranges) {
      into_.entries.push_back(
          ip_port_net_entry(set(SetKind::load_balancer_source_cidr), address, port_.protocol, port_.port, range));
      contains_node = contains_node || std::any_of(view_.primary.begin(), view_.primary.end(),
                                                   [&](const IpAddress& node) { return range.contains(node); });
    }
    // The node's own connections to the VIP bear the VIP as their source.
    if (contains_node)
      into_.entries.push_back(
          ip_port_ip_entry(set(SetKind::load_balancer_source_ip), address, port_.protocol, port_.port, address));
    entry(SetKind::load_balancer_fw, address, port_.port);
  }

  void node_port() {
    bool reachable = false;
    for (const auto& address : view_.node_port_addresses) {
      if (address.family() != family()) continue;
      reachable = true;
      external_frontend(address, port_.node_port);
      if (port_.protocol != Protocol::sctp) continue;
      entry(SetKind::node_port_sctp, address, port_.node_port);
      if (external_local()) entry(SetKind::node_port_local_sctp, address, port_.node_port);
    }
    // The bitmaps match the port on any local address, so they stay empty where there is no address to serve it on.
    if (!reachable || port_.protocol == Protocol::sctp) return;
    const bool tcp = port_.protocol == Protocol::tcp;
    bitmap(tcp ? SetKind::node_port_tcp : SetKind::node_port_udp);
    if (external_local()) bitmap(tcp ? SetKind::node_port_local_tcp : SetKind::node_port_local_udp);
  }

  void missing_here() {
    if (!selection_.has_any || !selection_.local.empty()) return;
    const auto of_family = [&](const IpAddress& address) { return address.family() == family(); };
    const bool external = port_.node_port.number != 0 ||
                          std::any_of(service_.external_ips.begin(), service_.external_ips.end(), of_family) ||
                          std::any_of(service_.load_balancer_ips.begin(), service_.load_balancer_ips.end(), of_family);
    const auto at = static_cast<std::size_t>(family());
    if (service_.internal_policy == TrafficPolicy::local) into_.local.none_internal[at] = true;
    if (external_local() && external) into_.local.none_external[at] = true;
  }

  void bitmap(SetKind kind) { into_.entries.push_back(bitmap_entry(set(kind), port_.node_port)); }

  const Service& service_;
  const ServicePort& port_;
  const IpAddress& cluster_ip_;
  const Policy& policy_;
  const NodeView& view_;
  std::uint32_t mark_;  // of outside clients; 0: none
  Contribution& into_;
  std::vector<Candidate> candidates_;
  Selection selection_;
};

template <class T>
void sort_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

std::optional<IpAddress> wrong_family(std::span<const EndpointSlice* const> slices, const Policy& policy) {
  for (const auto* slice : slices) {
    if (slice->wrong_family) return slice->wrong_family;
    if (!policy.serves[static_cast<std::size_t>(slice->family)] && !slice->endpoints.empty())
      return slice->endpoints.front().address;
  }
  return {};
}

}  // namespace

std::vector<OutsidePort> outside_ports(const Service& service, const Policy& policy, const NodeView& view) {
  std::vector<OutsidePort> ports;
  if (service.external_policy != TrafficPolicy::local) return ports;
  for (const auto& cluster_ip : service.cluster_ips) {
    const Family family = cluster_ip.family();
    const auto index = static_cast<std::size_t>(family);
    if (!policy.serves[index] || !view.marks_outside[index]) continue;
    for (const auto& port : service.ports) {
      OutsidePort outside{family, port.name, port.protocol, {}};
      const auto reachable_at = [&](const std::vector<IpAddress>& addresses, Port at) {
        for (const auto& address : addresses)
          if (address.family() == family) outside.frontends.push_back({address, port.protocol, at, 0});
      };
      reachable_at(service.external_ips, port.port);
      reachable_at(service.load_balancer_ips, port.port);
      if (port.node_port.number != 0) reachable_at(view.node_port_addresses, port.node_port);
      if (!outside.frontends.empty()) ports.push_back(std::move(outside));
    }
  }
  return ports;
}

Contribution desired(const Service& service, std::span<const EndpointSlice* const> slices, const Policy& policy,
                     const NodeView& view, const std::vector<PortMark>& marks) {
  Contribution contribution;
  for (const auto& cluster_ip : service.cluster_ips) {
    const auto at = static_cast<std::size_t>(cluster_ip.family());
    if (!policy.serves[at]) continue;
    std::vector<IpAddress> local;
    for (const auto& port : service.ports) {
      PortContribution of_port(service, port, cluster_ip, slices, policy, view,
                               mark_of(marks, cluster_ip.family(), port), contribution);
      of_port.add();
      of_port.add_local(local);
    }
    sort_unique(local);
    contribution.local.ready[at] = static_cast<std::uint32_t>(local.size());
    if (service.health_check_node_port.number != 0)
      contribution.entries.push_back(
          bitmap_entry({SetKind::health_check_node_port, cluster_ip.family()}, service.health_check_node_port));
  }
  // An address may be external IP and load balancer IP at once, a port may be listed twice: the first one counts.
  std::vector<Frontend>& frontends = contribution.frontends;
  const auto by_key = [](const Frontend& a, const Frontend& b) { return a.server.key < b.server.key; };
  if (!std::is_sorted(frontends.begin(), frontends.end(), by_key))
    std::stable_sort(frontends.begin(), frontends.end(), by_key);
  frontends.erase(std::unique(frontends.begin(), frontends.end(),
                              [](const Frontend& a, const Frontend& b) { return a.server.key == b.server.key; }),
                  frontends.end());
  sort_unique(contribution.addresses);
  sort_unique(contribution.entries);
  contribution.local.wrong_family = wrong_family(slices, policy);
  return contribution;
}

}  // namespace ipvsd
