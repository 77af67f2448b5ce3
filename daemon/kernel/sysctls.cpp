#include "daemon/kernel/sysctls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>

namespace ipvsd {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (!(file >> value)) return {};
  return value;
}

bool write_number(const std::string& path, std::uint64_t value) {
  std::ofstream file(path);
  file << value << '\n';
  file.flush();
  return file.good();
}

std::string dotted(std::string path) {
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

}  // namespace

KernelVersion parse_kernel_version(std::string_view text) {
  KernelVersion version;
  const char* end = text.data() + text.size();
  const auto [dot, major_error] = std::from_chars(text.data(), end, version.major);
  if (major_error != std::errc{} || dot == end || *dot != '.') return {};
  const auto [rest, minor_error] = std::from_chars(dot + 1, end, version.minor);
  if (minor_error != std::errc{}) return {};
  return version;
}

std::vector<Sysctl> wanted_sysctls(const Config& config, KernelVersion kernel, unsigned cpus) {
  std::vector<Sysctl> sysctls{{"net/ipv4/vs/conntrack", 1}};
  // From 5.9 on the kernel's default of 1 no longer drops the first packet of a reused connection.
  if (kernel >= KernelVersion{4, 1} && kernel < KernelVersion{5, 9})
    sysctls.push_back({"net/ipv4/vs/conn_reuse_mode", 0});
  sysctls.push_back({"net/ipv4/vs/expire_nodest_conn", 1});
  sysctls.push_back({"net/ipv4/vs/expire_quiescent_template", 1});
  sysctls.push_back({"net/ipv4/ip_forward", 1});
  if (config.ipvs.strict_arp) {
    sysctls.push_back({"net/ipv4/conf/all/arp_ignore", 1});
    sysctls.push_back({"net/ipv4/conf/all/arp_announce", 2});
  }
  const auto& conntrack = config.conntrack;
  if (const std::uint64_t per_core = conntrack.max_per_core.value_or(0); per_core > 0)
    sysctls.push_back(
        {"net/netfilter/nf_conntrack_max", std::max<std::uint64_t>(per_core * cpus, conntrack.min.value_or(0)), true});
  const auto seconds = [&](const char* name, std::chrono::seconds value) {
    if (value.count() > 0)
      sysctls.push_back({fmt::format("net/netfilter/{}", name), static_cast<std::uint64_t>(value.count())});
  };
  seconds("nf_conntrack_tcp_timeout_established", conntrack.tcp_established_timeout);
  seconds("nf_conntrack_tcp_timeout_close_wait", conntrack.tcp_close_wait_timeout);
  seconds("nf_conntrack_udp_timeout", conntrack.udp_timeout);
  seconds("nf_conntrack_udp_timeout_stream", conntrack.udp_stream_timeout);
  if (conntrack.tcp_be_liberal) sysctls.push_back({"net/netfilter/nf_conntrack_tcp_be_liberal", 1});
  return sysctls;
}

void apply_sysctls(const std::vector<Sysctl>& sysctls, const std::function<void(const std::string&)>& warn,
                   const std::string& root) {
  for (const auto& sysctl : sysctls) {
    const std::string path = root + "/" + sysctl.path;
    const auto current = read_number(path);
    if (current && (*current == sysctl.value || (sysctl.at_least && *current > sysctl.value))) continue;
    errno = 0;
    if (write_number(path, sysctl.value)) continue;
    warn(fmt::format("sysctl {} is {} and cannot be set ({}): it must be {}{}; set it on the host", dotted(sysctl.path),
                     current ? std::to_string(*current) : "unreadable", std::strerror(errno),
                     sysctl.at_least ? "at least " : "", sysctl.value));
  }
}

}  // namespace ipvsd
