// The API server as a source: Services, EndpointSlices and the own Node, each mirrored by a thread.
#pragma once

#include <array>

#include "daemon/source/reflector.hpp"

namespace ipvsd {

class ApiSource final : public Source {
 public:
  // `node_name`: metadata.name of the own Node. `sink` must outlive this.
  ApiSource(const ApiAccess& access, const std::string& node_name, EventSink& sink, const Warn& warn,
            const ReflectorOptions& options = {});

  void start() override;
  void stop() override;
  [[nodiscard]] std::vector<WatchStatus> status() const override;

 private:
  std::array<Reflector, 3> reflectors_;
};

// What is watched, and with which selectors (kube-proxy's).
[[nodiscard]] WatchedResource watched_services();
[[nodiscard]] WatchedResource watched_endpoint_slices();
[[nodiscard]] WatchedResource watched_node(const std::string& node_name);

}  // namespace ipvsd
