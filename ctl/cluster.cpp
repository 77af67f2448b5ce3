#include "ctl/cluster.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "daemon/config/config_file.hpp"
#include "daemon/config/kubeconfig.hpp"
#include "daemon/loop/node_policy.hpp"
#include "daemon/loop/reconciler.hpp"
#include "daemon/source/api_source.hpp"
#include "daemon/source/decode.hpp"
#include "daemon/source/manifest_source.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::chrono::seconds source_deadline{30};
constexpr std::array kinds{Kind::service, Kind::endpoint_slice, Kind::node};

// Keeps what a source delivers until it is complete; what comes later is dropped.
class Collector final : public EventSink {
 public:
  explicit Collector(ClusterState& state) : state_(state) {}

  void push(std::vector<ClusterEvent> events) override {
    const std::lock_guard lock(mutex_);
    if (state_.synced()) return;
    for (auto& event : events) state_.apply(std::move(event));
    complete_.notify_all();
  }

  [[nodiscard]] bool wait(std::chrono::seconds deadline) {
    std::unique_lock lock(mutex_);
    return complete_.wait_for(lock, deadline, [this] { return state_.synced(); });
  }

 private:
  ClusterState& state_;
  std::mutex mutex_;
  std::condition_variable complete_;
};

Result<Config> configured(const ClusterWords& words, const std::function<void(std::string)>& warn) {
  LoadedConfig loaded;
  if (!words.config.empty()) {
    auto read = read_config(words.config);
    if (!read) return fail(Errc::malformed, fmt::format("{}", fmt::join(read.error(), "\n")));
    loaded = std::move(*read);
  }
  for (const auto& warning : loaded.warnings) warn(warning);
  if (!words.node.empty()) loaded.config.hostname_override = words.node;
  return loaded.config;
}

Result<std::unique_ptr<Source>> source_of(const ClusterWords& words, const std::string& node, EventSink& sink,
                                          const std::function<void(std::string)>& warn) {
  if (!words.manifests.empty()) {
    struct stat status {};
    if (::stat(words.manifests.c_str(), &status) != 0) return fail_errno(errno, "manifests in " + words.manifests);
    if (!S_ISDIR(status.st_mode)) return fail(Errc::malformed, words.manifests + " is no folder of manifests");
    return std::make_unique<ManifestSource>(words.manifests, sink, warn);
  }
  const auto access = read_kubeconfig(words.kubeconfig);
  if (!access) return fail(access.error());
  return std::make_unique<ApiSource>(*access, node, sink, warn);
}

Result<Cluster> from_source(const ClusterWords& words, const std::function<void(std::string)>& warn) {
  auto config = configured(words, warn);
  if (!config) return fail(config.error());
  auto policy = make_policy(*config, hostname());
  if (!policy) return fail(policy.error());
  Cluster cluster(std::move(*policy));
  cluster.config = std::move(*config);
  cluster.origin =
      words.manifests.empty() ? "the API server of " + words.kubeconfig : "manifests in " + words.manifests;
  Collector collector(cluster.state);
  const auto source = source_of(words, cluster.policy.node_name, collector, warn);
  if (!source) return fail(source.error());
  (*source)->start();
  const bool complete = collector.wait(source_deadline);
  const auto statuses = (*source)->status();
  (*source)->stop();
  if (complete) return cluster;
  std::string why;
  for (const auto& status : statuses)
    if (!status.synced) why += fmt::format("; {}: {}", status.resource, status.last_error);
  return fail(Errc::timed_out,
              fmt::format("{}: no complete list within {} s{}", cluster.origin, source_deadline.count(), why));
}

Result<Cluster> from_daemon(const ClusterWords& words) {
  const auto config = ask_daemon(words.socket, "/v1/config");
  if (!config) return fail(config.error());
  auto cluster = cluster_of_config(*config);
  if (!cluster) return cluster;
  ObjectsReader reader(cluster->state);
  const auto asked =
      ask_daemon(words.socket, "/v1/objects", [&](std::string_view piece) { return reader.feed(piece); });
  if (!asked) return fail(asked.error());
  if (const auto finished = reader.finish(); !finished) return fail(finished.error());
  return cluster;
}

}  // namespace

Policy Cluster::policy_with(const std::vector<LocalRoute>& routes) const {
  Policy complete = policy;
  if (config.own.service_addresses == ServiceAddresses::route && complete.routed_cidrs.empty())
    for (const auto& route : routes) complete.routed_cidrs.push_back(route.destination);
  return complete;
}

NodeView Cluster::view(const std::vector<LinkAddress>& addresses, const std::vector<LocalRoute>& routes) const {
  auto view = node_view(policy, state.node(), config.bind_address, addresses);
  const auto wanted = policy_with(routes).routed_cidrs;
  for (const auto& route : routes)
    if (std::find(wanted.begin(), wanted.end(), route.destination) != wanted.end())
      view.routed.push_back(route.destination);
  return view;
}

Result<Cluster> cluster_of_config(std::string_view json) {
  const auto malformed = [](std::string_view what) {
    return fail(Errc::malformed, fmt::format("the daemon's configuration: {}", what));
  };
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("node") || !parsed["node"].is_string() || !parsed.contains("families") ||
      !parsed["families"].is_array() || !parsed.contains("config") || !parsed["config"].is_object())
    return malformed("not of the form {node, families, config}");
  auto document = parsed["config"];
  document["apiVersion"] = "kubeproxy.config.k8s.io/v1alpha1";
  document["kind"] = "KubeProxyConfiguration";
  auto loaded = parse_config(document.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), "configuration");
  if (!loaded) return malformed(fmt::format("{}", fmt::join(loaded.error(), "; ")));
  auto policy = make_policy(loaded->config, parsed["node"].get<std::string>());
  if (!policy) return fail(policy.error());
  policy->node_name = parsed["node"].get<std::string>();
  for (const auto family : families) {
    const auto& served = parsed["families"];
    policy->serves[static_cast<std::size_t>(family)] =
        std::any_of(served.begin(), served.end(), [&](const auto& name) { return name == to_string(family); });
  }
  Cluster cluster(std::move(*policy));
  cluster.config = std::move(loaded->config);
  cluster.origin = "the daemon";
  return cluster;
}

struct ObjectsReader::Parts {
  ClusterState& state;
  Decoder decoder;
  std::optional<Error> error;
  ListReader list{[this](std::string_view item) { take(item); }};

  void take(std::string_view item) {
    auto decoded = decoder.manifest(item);
    if (decoded.object && *decoded.object)
      state.apply(Upsert{std::move((*decoded.object)->object)});
    else if (!error)
      error = decoded.object ? decoded.object->error().error
                             : Error{Errc::malformed, 0, "an object of a kind that has no place here"};
  }
};

ObjectsReader::ObjectsReader(ClusterState& state) : parts_(new Parts{state, {}, {}}) {
  for (const auto kind : kinds) state.apply(ReplaceBegin{kind});
}
ObjectsReader::~ObjectsReader() = default;

Result<void> ObjectsReader::feed(std::string_view bytes) {
  const auto fed = parts_->list.feed(bytes);
  if (!fed) return fail(fed.error().within("the daemon's objects"));
  if (parts_->error) return fail(parts_->error->within("the daemon's objects"));
  return {};
}

Result<void> ObjectsReader::finish() {
  const auto finished = parts_->list.finish();
  if (!finished) return fail(finished.error().within("the daemon's objects"));
  for (const auto kind : kinds) parts_->state.apply(ReplaceEnd{kind});
  return {};
}

Result<Cluster> read_cluster(const ClusterWords& words, const std::function<void(std::string)>& warn) {
  if (!words.kubeconfig.empty() && !words.manifests.empty())
    return fail(Errc::malformed, "--kubeconfig and --manifests exclude each other");
  if (words.from_daemon() && !words.config.empty())
    return fail(Errc::malformed, "--config needs --manifests or --kubeconfig: a daemon knows its own configuration");
  return words.from_daemon() ? from_daemon(words) : from_source(words, warn);
}

}  // namespace ipvsd::ctl
