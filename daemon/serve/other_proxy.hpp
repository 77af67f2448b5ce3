// Is another service proxy alive on this node? Two writers of one IPVS table would undo each other's work.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
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

// "ipvs", if this is an answer to /proxyMode that names a mode; else "". Pure.
[[nodiscard]] std::string proxy_mode_of(std::string_view answer);

// Asks each in turn, at most `each` per question. The first that accepts a connection is described:
// "127.0.0.1:10249 answers (proxyMode iptables)". A refused connection, or none in time, means that nobody is there. To
// be called before our own servers are bound. Error: there is no socket to ask with (EMFILE and the like).
[[nodiscard]] Result<std::optional<std::string>> ask_probes(
    const std::vector<Probe>& probes, std::chrono::milliseconds each = std::chrono::milliseconds(200));

// A process of another program that writes Services, or IPVS, by its name.
struct ProxyProcess {
  int pid = 0;
  std::string name;  // "kube-proxy", "kube-router", "keepalived"
};
// Those of this network namespace. Processes of other PID namespaces cannot be seen: in a container without hostPID,
// there are none. Error: /proc cannot be read.
[[nodiscard]] Result<std::vector<ProxyProcess>> proxy_processes();

// Before our own servers are bound: who answers, or a process kube-proxy, or why that cannot be told.
[[nodiscard]] std::optional<std::string> another_proxy(const Config& config);
// The same while our own servers answer at the configured addresses, which are not asked then. A kube-proxy that wants
// these addresses too does not get them, and shows by its process alone. An error says nothing about anybody.
[[nodiscard]] Result<std::optional<std::string>> another_proxy_beside_us(const Config& config);

}  // namespace ipvsd
