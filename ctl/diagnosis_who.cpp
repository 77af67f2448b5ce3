// Who asks, and whose address and port it is.
#include "ctl/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/wanted.hpp"
#include "reconcile/ownership.hpp"

namespace ipvsd::ctl {
namespace {

bool contains(const std::vector<IpAddress>& addresses, const IpAddress& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

std::string addresses_text(const std::vector<IpAddress>& addresses) {
  std::vector<std::string> words;
  for (const auto& address : addresses) words.push_back(address.to_string());
  return listed(words);
}

}  // namespace

void Diagnosis::client() {
  packet_.destination = target_.address;
  packet_.port = target_.port;
  packet_.protocol = target_.protocol;
  packet_.source = from_;
  if (!from_) {
    out_.from = "a client outside";
    return;
  }
  packet_.from_node = on_node(*from_);
  for (const auto& [link, address, prefix] : facts_.addresses)
    if (link != ipvs_link_name && address.family() == from_->family() && Cidr::of(address, prefix).contains(*from_))
      packet_.link = link;
  out_.from = packet_.from_node ? "this node" : from_->to_string();
  // An address of kube-ipvs0 becomes the source of what the node sends to it; a route says its own.
  const auto* route = facts_.route_to(target_.address);
  const bool bound = std::any_of(facts_.addresses.begin(), facts_.addresses.end(),
                                 [&](const LinkAddress& one) { return one.address == target_.address; });
  if (packet_.from_node && on_node(target_.address))
    packet_.source = !bound && route != nullptr && route->source ? *route->source : target_.address;
}

bool Diagnosis::from_inside() const {
  if (!from_) return false;
  if (packet_.from_node || cluster_ == nullptr) return packet_.from_node;
  const auto has = [&](const std::vector<Cidr>& cidrs) {
    return std::any_of(cidrs.begin(), cidrs.end(), [&](const Cidr& cidr) { return cidr.contains(*from_); });
  };
  return has(cluster_->config.cluster_cidrs) ||
         (cluster_->state.node() != nullptr && has(cluster_->state.node()->pod_cidrs));
}

bool Diagnosis::who() {
  const auto found = claimants(*cluster_, view_, target_);
  if (found.empty()) {
    nobody();
    return false;
  }
  owner_ = found.front();
  out_.service = owner_->name();
  step("service", fmt::format("{}, {} of {}", out_.service, to_string(owner_->kind), cluster_->origin));
  for (std::size_t i = 1; i < found.size(); ++i)
    out_.notes.push_back(
        fmt::format("conflict: {} wants {} too; {} is older and has it", found[i].name(), name(), owner_->name()));
  if (!cluster_->policy.serves[static_cast<std::size_t>(target_.family())]) {
    fault("family-not-served", fmt::format("this node does not serve {}", ipvsd::to_string(target_.family())),
          "see the daemon's log: iptables of that family, or its modules, are missing");
    return false;
  }
  contribution_ = Wanted(*cluster_, facts_, Wanted::By::shared).of(*owner_->service);
  // The ledger's part: what leads outside clients to the virtual server by mark.
  for (const auto& frontend : contribution_.frontends)
    if (frontend.outside.value != 0) {
      const auto& key = frontend.server.key;
      contribution_.entries.push_back(outside_entry(key.address, key.protocol, key.port, frontend.outside));
    }
  return true;
}

void Diagnosis::nobody() {
  std::vector<std::string> ports;
  for (const auto& key : cluster_->state.service_keys()) {
    const auto* service = cluster_->state.service(key);
    if (service == nullptr) continue;
    const bool has = contains(service->cluster_ips, target_.address) ||
                     contains(service->external_ips, target_.address) ||
                     contains(service->load_balancer_ips, target_.address);
    for (const auto& port : service->ports) {
      if (has)
        ports.push_back(fmt::format("{} {}/{}", key.to_string(), port.port.number, ipvsd::to_string(port.protocol)));
      const bool is_node_port = port.node_port.number != 0 && port.node_port == target_.port &&
                                port.protocol == target_.protocol && on_node(target_.address);
      if (is_node_port && !has) return excluded_node_port(key);
    }
  }
  step("service", fmt::format("no Service port is at {}", name()));
  if (!ports.empty())
    return fault("no-such-port", fmt::format("the address is a Service's, but not with this port: {}", listed(ports)),
                 "ask for a port that the Service has, or add the port to it");
  const auto* found = facts_.server(target_);
  if (found == nullptr)
    return fault("unknown-address", fmt::format("no Service has {}, and no virtual server", name()),
                 "check the address, and that the Service is of this cluster");
  const bool ours = owned(facts_.kernel_state(), facts_.addresses).contains(target_);
  fault(ours ? "stale-virtual-server" : "foreign-virtual-server",
        ours ? fmt::format("the virtual server {} is left over: no Service has it any more", name())
             : fmt::format("the virtual server {} is no Service's, and nothing says that a proxy made it", name()),
        ours ? "the daemon removes it; see kube-ipvsctl status" : "whoever made it by hand or by ipvsadm knows more");
  add(explain_destinations(*found));
}

void Diagnosis::excluded_node_port(const ObjectKey& service) {
  step("service", fmt::format("{} has NodePort {}", service.to_string(), target_.port.number));
  fault("node-port-excluded",
        fmt::format("{} does not serve NodePorts: {}", target_.address.to_string(),
                    target_.address.is_loopback() ? "a loopback address never does in ipvs mode"
                                                  : "nodePortAddresses excludes it"),
        fmt::format("use one of {}", view_.node_port_addresses.empty() ? "none: nodePortAddresses excludes all"
                                                                       : addresses_text(view_.node_port_addresses)));
}

bool Diagnosis::who_by_kernel() {
  if (facts_.server(target_) != nullptr) return true;
  const auto mentions = [&](const SetEntry& entry) {
    return entry.set.type() == SetType::hash_ip_port && entry.address == target_.address &&
           entry.port == target_.port && entry.protocol == target_.protocol;
  };
  if (std::any_of(facts_.entries.begin(), facts_.entries.end(), mentions)) return true;
  std::vector<std::string> others;
  for (const auto& found : facts_.servers)
    if (found.server.key.fwmark == 0 && found.server.key.address == target_.address)
      others.push_back(found.server.key.to_string());
  if (!others.empty())
    fault("no-such-port", fmt::format("the kernel has no virtual server at {}, but {}", name(), listed(others)),
          "ask for one of these, or name the Services by --manifests or --kubeconfig");
  else
    fault("unknown-address", fmt::format("neither a virtual server nor a set of this node has {}", name()),
          "check the address; name the Services by --manifests or --kubeconfig to see whether one wants it");
  return false;
}

}  // namespace ipvsd::ctl
