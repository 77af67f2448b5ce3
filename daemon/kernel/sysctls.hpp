// The kernel settings that IPVS needs to serve Services.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/config/config.hpp"

namespace ipvsd {

struct Sysctl {
  std::string path;  // below /proc/sys: "net/ipv4/vs/conntrack"
  std::uint64_t value = 0;
  bool at_least = false;  // a larger value that is there already is left alone
  friend bool operator==(const Sysctl&, const Sysctl&) = default;
};

struct KernelVersion {
  int major = 0;
  int minor = 0;
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
};
// From /proc/sys/kernel/osrelease: "6.1.0-18-amd64". 0.0 if it cannot be read.
[[nodiscard]] KernelVersion parse_kernel_version(std::string_view text);

// What is to be set for this configuration on this kernel with so many CPUs, in order. Pure.
[[nodiscard]] std::vector<Sysctl> wanted_sysctls(const Config& config, KernelVersion kernel, unsigned cpus);

// Writes what differs. A setting that cannot be written (a read-only /proc/sys in a container) is no error as long as
// the operator is told: `warn` gets one line each with the value that is needed. `root` replaces "/proc/sys" in tests.
void apply_sysctls(const std::vector<Sysctl>& sysctls, const std::function<void(const std::string&)>& warn,
                   const std::string& root = "/proc/sys");

}  // namespace ipvsd
