#include "reconcile/flows.hpp"

#include <algorithm>

namespace ipvsd {

bool has_flows(const VirtualServerKey& key) { return key.protocol == Protocol::udp && key.fwmark == 0; }

std::optional<VirtualServerKey> unsettles(const Operation& operation, const Ledger& before) {
  if (const auto* server = std::get_if<VirtualServer>(&operation.target))
    return operation.verb == Verb::remove && has_flows(server->key) ? std::optional(server->key) : std::nullopt;
  const auto* of = std::get_if<DestinationOf>(&operation.target);
  if (of == nullptr || !has_flows(of->server)) return {};
  const bool first = operation.verb == Verb::add && !before.has_destinations(of->server);
  return operation.verb == Verb::remove || first ? std::optional(of->server) : std::nullopt;
}

void UnsettledFlows::add(FrontendFlows frontend) { frontends_[frontend.frontend] = std::move(frontend.destinations); }

void UnsettledFlows::put_back(FrontendFlows frontend) {
  frontends_.try_emplace(frontend.frontend, std::move(frontend.destinations));
}

std::vector<FrontendFlows> UnsettledFlows::take() {
  std::vector<FrontendFlows> all;
  all.reserve(frontends_.size());
  for (auto& [key, destinations] : frontends_) all.push_back({key, std::move(destinations)});
  frontends_.clear();
  return all;
}

FlowSearch::FlowSearch(Family family, std::span<const FrontendFlows> frontends) {
  filter_.family = family;
  filter_.protocol = Protocol::udp;
  for (const auto& [key, destinations] : frontends) {
    if (key.family() != family) continue;
    if (destinations_.empty()) {
      filter_.destination = key.address;
      filter_.port = key.port;
    }
    if (filter_.destination != key.address) filter_.destination.reset();
    if (filter_.port != key.port) filter_.port.reset();
    destinations_[key] = destinations;
  }
}

bool FlowSearch::stale(const Flow& flow) const {
  const auto frontend =
      destinations_.find({flow.original.destination, flow.protocol, flow.original.destination_port, 0});
  if (frontend == destinations_.end()) return false;
  const DestinationKey answered_by{flow.reply.source, flow.reply.source_port};
  return !std::binary_search(frontend->second.begin(), frontend->second.end(), answered_by);
}

}  // namespace ipvsd
