// The cluster's objects and the configuration, from wherever the user points to: what the commands compute the desired
// state from, by the daemon's own code.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ctl/daemon_client.hpp"
#include "daemon/config/config.hpp"
#include "reconcile/cluster_state.hpp"
#include "reconcile/desired.hpp"

namespace ipvsd::ctl {

// At most one of kubeconfig and manifests is set; neither: the daemon is asked.
struct ClusterWords {
  std::string socket{default_ctl_socket};
  std::string kubeconfig;
  std::string manifests;
  std::string config;  // KubeProxyConfiguration file; "": its defaults. Not with the daemon, which knows its own.
  std::string node;    // the Node's name; "": hostnameOverride of the configuration, else the host's name
  [[nodiscard]] bool from_daemon() const { return kubeconfig.empty() && manifests.empty(); }
};

struct Cluster {
  ClusterState state;
  Config config;
  Policy policy;
  std::string origin;  // "the daemon", "manifests in DIR", "the API server of FILE"

  explicit Cluster(Policy its_policy) : state(its_policy.node_name), policy(std::move(its_policy)) {}

  // What a node with these addresses on its links, and these local routes, is to the Services.
  [[nodiscard]] NodeView view(const std::vector<LinkAddress>& addresses, const std::vector<LocalRoute>& routes) const;
  // The policy with the Service CIDRs that are in effect: without configured ones, those that have a route.
  [[nodiscard]] Policy policy_with(const std::vector<LocalRoute>& routes) const;
};

// Waits for a complete view. `warn` gets a line for each object that could not be read. Errors: not_found where no
// daemon answers (see ask_daemon()); malformed; timed_out, with what the source said last.
[[nodiscard]] Result<Cluster> read_cluster(const ClusterWords& words, const std::function<void(std::string)>& warn);

// The parts of /v1/config and /v1/objects, for read_cluster() and the fuzzer. Pure. Error: malformed.
[[nodiscard]] Result<Cluster> cluster_of_config(std::string_view json);

// Takes /v1/objects in pieces. One thread.
class ObjectsReader {
 public:
  explicit ObjectsReader(ClusterState& state);
  ~ObjectsReader();
  ObjectsReader(const ObjectsReader&) = delete;
  ObjectsReader& operator=(const ObjectsReader&) = delete;
  // Error: malformed.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  [[nodiscard]] Result<void> finish();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ipvsd::ctl
