#include "daemon/check/observe_cluster.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "daemon/source/api_connection.hpp"
#include "daemon/source/api_source.hpp"
#include "daemon/source/manifest_source.hpp"

namespace ipvsd::check {
namespace {

constexpr std::chrono::seconds silence{10};

// Collects what a source delivers until one complete list of each kind was there.
class Collector final : public EventSink {
 public:
  void push(std::vector<ClusterEvent> events) override {
    const std::lock_guard lock(mutex_);
    for (auto& event : events) {
      if (auto* upserted = std::get_if<Upsert>(&event)) {
        if (auto* service = std::get_if<Service>(&upserted->object)) services_[service->key] = std::move(*service);
        if (const auto* node = std::get_if<Node>(&upserted->object)) nodes_[node->name] = node->pod_cidrs;
      } else if (const auto* ended = std::get_if<ReplaceEnd>(&event)) {
        complete_.insert(ended->kind);
        changed_.notify_all();
      }
    }
  }
  void warn(std::string text) {
    const std::lock_guard lock(mutex_);
    warnings_.push_back(std::move(text));
  }
  // Services and Node, or as much as came in time.
  void collect(std::chrono::seconds deadline, ClusterFacts& into) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, deadline,
                      [this] { return complete_.contains(Kind::service) && complete_.contains(Kind::node); });
    into.services_known = complete_.contains(Kind::service);
    into.node_known = complete_.contains(Kind::node);
    into.node_found = !nodes_.empty();
    for (const auto& [name, cidrs] : nodes_) into.pod_cidrs.insert(into.pod_cidrs.end(), cidrs.begin(), cidrs.end());
    for (const auto& [key, service] : services_) into.services.push_back(service);
    into.warnings = warnings_;
    if (!into.services_known) into.error = fmt::format("no complete list of Services within {} s", deadline.count());
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ObjectKey, Service> services_;
  std::map<std::string, std::vector<Cidr>> nodes_;  // and their podCIDRs
  std::set<Kind> complete_;
  std::vector<std::string> warnings_;
};

// The status is all that is wanted: the body is let go of as soon as it begins.
Access try_access(ApiConnection& connection, const WatchedResource& resource, const std::string& verb) {
  Access access{verb, resource.name, 0, ""};
  const auto target =
      fmt::format("{}?{}{}{}", resource.path, verb == "watch" ? "watch=true&timeoutSeconds=1" : "limit=1",
                  resource.selector.empty() ? "" : "&", resource.selector);
  bool accepted = false;
  const auto answer = connection.get(target, silence, [&](std::string_view) {
    accepted = true;
    return false;
  });
  if (accepted || (answer && answer->status == 200)) {
    access.status = 200;
  } else if (answer) {
    access.status = answer->status;
    access.error = fmt::format("status {}: {}", answer->status, answer->body.substr(0, 512));
  } else {
    access.error = answer.error().message();
  }
  return access;
}

// Recording an Event, as a dry run with a body that no server takes: the server looks at rights first, and any other
// complaint of its comes from beyond that.
Access try_event(ApiConnection& connection, const std::string& verb) {
  Access access{verb, "events", 0, ""};
  const std::string events = "/apis/events.k8s.io/v1/namespaces/default/events";
  const std::string dry_run = "?dryRun=All";
  const auto answer = verb == "create" ? connection.post(events + dry_run, "{}", silence)
                                       : connection.patch(events + "/kube-ipvsd-check" + dry_run, "{}", silence);
  if (!answer) {
    access.error = answer.error().message();
    return access;
  }
  const bool refused = answer->status == 401 || answer->status == 403 || answer->status == 429 || answer->status >= 500;
  access.status = refused ? answer->status : 200;
  if (refused) access.error = fmt::format("status {}: {}", answer->status, answer->body.substr(0, 512));
  return access;
}

}  // namespace

ClusterFacts observe_api(const ApiAccess& access, const std::string& node_name, std::chrono::seconds deadline) {
  ClusterFacts cluster;
  cluster.host = access.host;
  ApiConnection connection(access);
  cluster.source = connection.server();
  bool all = true;
  for (const auto& resource : {watched_services(), watched_endpoint_slices(), watched_node(node_name)})
    for (const auto* verb : {"list", "watch"}) {
      cluster.accesses.push_back(try_access(connection, resource, verb));
      all = all && cluster.accesses.back().status == 200;
      // A server that does not answer would be waited for five times more.
      if (cluster.accesses.back().status == 0) return cluster;
    }
  for (const auto* verb : {"create", "patch"}) cluster.accesses.push_back(try_event(connection, verb));
  if (!all) return cluster;
  Collector collector;
  ApiSource source(access, node_name, collector, [&](const std::string& text) { collector.warn(text); });
  source.start();
  collector.collect(deadline, cluster);
  source.stop();
  return cluster;
}

ClusterFacts observe_manifests(const std::string& directory, std::chrono::seconds deadline) {
  ClusterFacts cluster;
  cluster.source = directory;
  Collector collector;
  ManifestSource source(directory, collector, [&](std::string text) { collector.warn(std::move(text)); });
  source.start();
  collector.collect(deadline, cluster);
  source.stop();
  // Without a cluster nobody needs the Node object.
  cluster.node_known = false;
  cluster.pod_cidrs.clear();
  return cluster;
}

}  // namespace ipvsd::check
