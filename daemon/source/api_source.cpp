#include "daemon/source/api_source.hpp"

namespace ipvsd {
namespace {

std::string not_for_others() {
  return "labelSelector=" +
         encode_query_value("!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name");
}

// Each reflector has its own series of random waits.
ReflectorOptions reseeded(ReflectorOptions options, std::uint64_t salt) {
  options.seed ^= salt * 0x9e3779b97f4a7c15ULL;
  return options;
}

}  // namespace

WatchedResource watched_services() { return {Kind::service, "services", "/api/v1/services", not_for_others()}; }

WatchedResource watched_endpoint_slices() {
  return {Kind::endpoint_slice, "endpointslices", "/apis/discovery.k8s.io/v1/endpointslices", not_for_others()};
}

WatchedResource watched_node(const std::string& node_name) {
  return {Kind::node, "nodes", "/api/v1/nodes", "fieldSelector=" + encode_query_value("metadata.name=" + node_name)};
}

ApiSource::ApiSource(const ApiAccess& access, const std::string& node_name, EventSink& sink, const Warn& warn,
                     const ReflectorOptions& options)
    : reflectors_{Reflector(watched_services(), access, sink, warn, reseeded(options, 1)),
                  Reflector(watched_endpoint_slices(), access, sink, warn, reseeded(options, 2)),
                  Reflector(watched_node(node_name), access, sink, warn, reseeded(options, 3))} {}

void ApiSource::start() {
  for (auto& reflector : reflectors_) reflector.start();
}

void ApiSource::stop() {
  for (auto& reflector : reflectors_) reflector.begin_stop();
  for (auto& reflector : reflectors_) reflector.stop();
}

std::vector<WatchStatus> ApiSource::status() const {
  std::vector<WatchStatus> all;
  for (const auto& reflector : reflectors_) all.push_back(reflector.status());
  return all;
}

}  // namespace ipvsd
