// Is another service proxy alive on this node? Two writers of one IPVS table would undo each other's work.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.hpp"

namespace ipvsd {

struct Probe {
  SocketAddress address;
  std::string path;  // "/proxyMode" or "/healthz"
  friend bool operator==(const Probe&, const Probe&) = default;
};

// kube-proxy's default addresses on loopback, and the configured ones (a wildcard becomes loopback of its family).
[[nodiscard]] std::vector<Probe> other_proxy_probes(const Config& config);

// Asks each in turn, at most `each` per question. The first that accepts a connection is described:
// "127.0.0.1:10249 answers (proxyMode iptables)". A refused connection, or none in time, means that nobody is there. To
// be called before our own servers are bound.
[[nodiscard]] std::optional<std::string> ask_probes(const std::vector<Probe>& probes,
                                                    std::chrono::milliseconds each = std::chrono::milliseconds(200));

[[nodiscard]] std::optional<std::string> another_proxy(const Config& config);

}  // namespace ipvsd
