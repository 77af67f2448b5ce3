// kube-ipvsctl explain: a packet's way to a Service, step by step, and what stands in it. What is wanted comes from the
// daemon's own pure code (reconcile/, scheduler/, ipset/rules.hpp), what is there from NodeFacts; where the two part is
// the fault. Without a cluster the kernel's facts have to do. Pure.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ctl/cluster.hpp"
#include "ctl/node_facts.hpp"
#include "ctl/rule_walk.hpp"

namespace ipvsd::ctl {

enum class ProbeResult : std::uint8_t {
  answers,
  refuses,      // reset, aborted, or ICMP says that the port is closed
  unreachable,  // no route, or nobody has the address
  silent,       // of TCP and SCTP, which must answer
  unknown,      // silence of UDP, which need not answer
  untried,      // this kernel has no SCTP
};
[[nodiscard]] std::string_view to_string(ProbeResult result);

// What was found out about the node for an explanation.
struct Observed {
  NodeFacts node;
  bool has_scheduler = true;  // the configured one is among the kernel's modules
  bool daemon_answers = false;
  std::vector<std::pair<std::string, std::string>> failing;  // the daemon's: object, error
  std::map<DestinationKey, ProbeResult> probes;              // of the backends, where asked for
};

enum class FrontendKind : std::uint8_t { cluster_ip, external_ip, load_balancer, node_port };
[[nodiscard]] std::string_view to_string(FrontendKind kind);

// A Service port that wants an address and port.
struct Claimant {
  const Service* service;
  const ServicePort* port;
  FrontendKind kind;
  [[nodiscard]] std::string name() const;  // "default/web:http"
};

struct ExplainedStep {
  std::string step;  // "service", "address", "rules", "masquerade", "server"
  std::string text;
};

struct ExplainedEndpoint {
  DestinationKey key;
  std::string pod;                           // "" if not known
  std::string node;                          // "" if not known
  bool in = false;                           // it is to get new connections
  std::string reason;                        // "ready", "not ready", "traffic policy Local", ...
  std::optional<ObservedDestination> found;  // in the kernel
  std::optional<ProbeResult> probe;
};

// One of a closed list of causes, see docs/ctl-api.md: "address-missing". The first of an explanation is the likely
// one; the others are further down the packet's way and often follow from it.
struct Fault {
  std::string cause;
  std::string text;
  std::string advice;
};

struct Explanation {
  VirtualServerKey target;
  std::string from;     // words
  std::string service;  // "default/web:http", "" if not known
  std::vector<ExplainedStep> steps;
  std::vector<ExplainedEndpoint> endpoints;
  std::vector<Fault> faults;  // none: nothing wrong found
  std::vector<std::string> notes;
};

// `from`: the client; empty: some client outside. `cluster`: null if it is not known.
[[nodiscard]] Explanation explain(const VirtualServerKey& target, const std::optional<IpAddress>& from,
                                  const Observed& observed, const Cluster* cluster);

// The Service ports that want it, the rightful owner (the oldest) first.
[[nodiscard]] std::vector<Claimant> claimants(const Cluster& cluster, const NodeView& view,
                                              const VirtualServerKey& target);

// All frontends of a Service on this node, and why it has none: headless, ignored, not there.
struct ServiceTargets {
  std::vector<VirtualServerKey> targets;
  std::vector<Fault> faults;
};
[[nodiscard]] ServiceTargets targets_of(const Cluster& cluster, const NodeView& view, const ObjectKey& service);

// Of the explanation of a frontend of `service`: that an older Service has it, if so. That is then the likely fault.
void note_conflict(Explanation& explanation, const ObjectKey& service);

// The protocols that the address and port have, in the cluster or the kernel; TCP if none.
[[nodiscard]] std::vector<Protocol> protocols_at(const IpAddress& address, Port port, const NodeFacts& facts,
                                                 const Cluster* cluster);

// The rows of the endpoints and the faults in them; part of explain(). `wanted`: what the daemon would write.
struct EndpointFindings {
  std::vector<ExplainedEndpoint> rows;
  std::vector<Fault> faults;
};
[[nodiscard]] EndpointFindings explain_endpoints(const Cluster& cluster, const NodeView& view, const Claimant& owner,
                                                 const Frontend& wanted, const ObservedVirtualServer* found,
                                                 bool from_inside);
// The same by the kernel alone.
[[nodiscard]] EndpointFindings explain_destinations(const ObservedVirtualServer& found);

// "1 endpoint", "2 endpoints".
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view what);

// --- printing
// ---------------------------------------------------------------------------------------------------------
[[nodiscard]] std::string explanation_text(const Explanation& explanation);
[[nodiscard]] nlohmann::ordered_json explanation_json(const Explanation& explanation);

}  // namespace ipvsd::ctl
