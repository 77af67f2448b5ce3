// The steps of explain(), each of which looks at one part of the way; see explain.hpp. One explanation each.
#pragma once

#include "ctl/explain.hpp"

namespace ipvsd::ctl {

// The first few, and how many more.
[[nodiscard]] std::string listed(const std::vector<std::string>& words, std::size_t limit = 6);

class Diagnosis {
 public:
  Diagnosis(const VirtualServerKey& target, const std::optional<IpAddress>& from, const Observed& observed,
            const Cluster* cluster)
      : target_(target), from_(from), observed_(observed), facts_(observed.node), cluster_(cluster) {
    out_.target = target;
    if (cluster_ != nullptr) view_ = cluster_->view(facts_.addresses, facts_.routes);
  }

  [[nodiscard]] Explanation run();

 private:
  // Who asks for what: diagnosis_who.cpp.
  void client();
  // A pod or a node process: whom externalTrafficPolicy does not concern.
  [[nodiscard]] bool from_inside() const;
  bool who();
  void nobody();
  void excluded_node_port(const ObjectKey& service);
  bool who_by_kernel();

  // The rules on the way: diagnosis_rules.cpp.
  Walk rules();
  [[nodiscard]] std::vector<Cidr> routed_here() const;
  void compare_rules(const Walk& walk, const std::optional<DestinationKey>& backend);
  // As it should be: by the Service's own restriction, or because nothing wants the port let through.
  void stopped(const Walk& walk);
  // Rules and jumps that the packet should have met and that are not there.
  [[nodiscard]] std::vector<std::string> lacking_rules(const Walk& wanted) const;

  // Everything else: explain.cpp.
  void fault(std::string cause, std::string text, std::string advice);
  void step(std::string name, std::string text);
  [[nodiscard]] std::string name() const;
  [[nodiscard]] bool on_node(const IpAddress& address) const;
  void link_and_address();
  // What the daemon could not do with this object; "" if nothing.
  [[nodiscard]] std::string daemon_says(std::string_view object) const;
  // Where IPVS would send the packet, as far as the rules behind it care.
  [[nodiscard]] std::optional<DestinationKey> some_backend() const;
  [[nodiscard]] const Frontend* wanted_frontend(const VirtualServerKey& key) const;
  // As IPVS looks it up (ip_vs_service_find): by mark, by address and port, then for any port.
  [[nodiscard]] const ObservedVirtualServer* chosen(const Walk& walk) const;
  void server(const Walk& walk);
  void missing_server();
  void add(EndpointFindings findings);
  void setting(const char* path, std::string_view effect);
  void settings();
  void probes();

  const VirtualServerKey target_;
  const std::optional<IpAddress> from_;
  const Observed& observed_;
  const NodeFacts& facts_;
  const Cluster* cluster_;
  NodeView view_;
  Packet packet_;
  std::optional<Claimant> owner_;
  Contribution contribution_;
  Explanation out_;
};

}  // namespace ipvsd::ctl
