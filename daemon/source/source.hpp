// Where objects come from: the API server or a directory of manifests. A source owns its threads and pushes
// ClusterEvents into the sink it was given; it never looks at what becomes of them.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "model/event.hpp"

namespace ipvsd {

// What a source tells about itself for metrics and `kube-ipvsctl status`.
struct WatchStatus {
  std::string resource;  // "services", "endpointslices", "nodes", or a directory
  bool synced = false;   // a complete list has been delivered
  bool connected = false;
  std::string last_error;  // "" if none since the last success
  std::uint64_t events = 0;
  std::uint64_t lists = 0;     // complete lists read
  std::uint64_t watches = 0;   // watches (re)started
  std::uint64_t rejected = 0;  // objects that could not be read
};

class Source {
 public:
  virtual ~Source() = default;
  // Starts the threads; errors are reported through the log and status(), and retried, not returned.
  virtual void start() = 0;
  // Ends them within a second, whatever the peer does. No event is pushed after it returns. Idempotent.
  virtual void stop() = 0;
  // Any thread.
  [[nodiscard]] virtual std::vector<WatchStatus> status() const = 0;
};

}  // namespace ipvsd
