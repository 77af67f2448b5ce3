// The stand-in's Events of events.k8s.io/v1: what a real API server takes, and what it refuses (ValidateEvent in
// pkg/apis/core/validation). All calls from any thread.
#pragma once

#include <mutex>
#include <vector>

#include "test/fake/api_objects.hpp"

namespace ipvsd::fake {

class ApiEvents {
 public:
  // `path`: "/apis/events.k8s.io/v1/namespaces/NS/events[/NAME]".
  [[nodiscard]] static bool serves(const std::string& path);
  Reply create(const std::string& path, Json event);
  Reply patch(const std::string& path, const Json& patch);
  // In the order of their creation, as they are now.
  [[nodiscard]] std::vector<Json> all() const;
  // As when their time to live is over.
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<Json> events_;
};

}  // namespace ipvsd::fake
