// Names (names.hpp) from wherever the user points to: the daemon, manifests, an API server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ctl/cluster.hpp"
#include "ctl/names.hpp"

namespace ipvsd::ctl {

// Where the user points to nothing, the daemon's, and none where it does not answer: what shows the kernel works
// without names. `warn` gets what could not be read. Errors: those of read_cluster(), for manifests and API servers
// only.
[[nodiscard]] Result<Names> read_names(const ClusterWords& words, const std::function<void(std::string)>& warn);

// Takes /v1/objects in pieces and keeps the names alone. One thread.
class NamesReader {
 public:
  NamesReader();
  ~NamesReader();
  NamesReader(const NamesReader&) = delete;
  NamesReader& operator=(const NamesReader&) = delete;
  // Error: malformed.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  [[nodiscard]] Result<Names> finish();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ipvsd::ctl
