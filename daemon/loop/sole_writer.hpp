// One writer per node. Two proxies on one IPVS table undo each other's work, so this one waits, writing nothing, while
// another lives.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "os/fd.hpp"

namespace ipvsd {

class SoleWriter {
 public:
  // Whether somebody else answers where a kube-proxy would; empty: nobody.
  using OtherProxy = std::function<std::optional<std::string>()>;
  explicit SoleWriter(OtherProxy other_proxy, std::string name = "kube-ipvsd")
      : other_proxy_(std::move(other_proxy)), name_(std::move(name)) {}

  // Who writes already, or empty: we may. Holds the claim until destruction. The claim against a second kube-ipvsd is
  // an abstract unix socket name: unlike a file it belongs to the network namespace, just as the IPVS table does, and
  // it vanishes with the process (unix(7)).
  [[nodiscard]] std::optional<std::string> claim();

 private:
  OtherProxy other_proxy_;
  std::string name_;
  Fd claim_;
};

}  // namespace ipvsd
