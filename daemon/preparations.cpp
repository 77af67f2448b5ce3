#include "daemon/preparations.hpp"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include <fstream>
#include <thread>

#include "daemon/config/service_cidrs.hpp"
#include "daemon/kernel/conntrack_hash.hpp"
#include "daemon/kernel/sysctls.hpp"
#include "daemon/report/reasons.hpp"
#include "daemon/source/service_cidrs.hpp"

namespace ipvsd {
namespace {

// Waits a second; true if a signal asks to end.
bool signalled(const Fd& signals) {
  pollfd poll{signals.get(), POLLIN, 0};
  return ::poll(&poll, 1, 1000) > 0;
}

// As configured or, where nothing is, as the API server says; empty where it has none. Waits for its answer: without
// the cluster nothing is written anyway.
Result<std::vector<Cidr>> find_service_cidrs(const Flags& flags, const ApiAccess& access, const Fd& signals) {
  if (!flags.config.own.service_cidrs.empty()) return flags.config.own.service_cidrs;
  if (!flags.manifests.empty())
    return fail(Errc::malformed, "ipvsd.serviceAddresses: route needs ipvsd.serviceCIDRs where manifests are read");
  std::string before;
  for (;;) {
    auto found = read_service_cidrs(access);
    if (found) return found;
    if (found.error().code == Errc::unsupported || found.error().code == Errc::denied) {
      spdlog::warn("{}; set ipvsd.serviceCIDRs. Until then VIPs are bound to {}", found.error().message(),
                   ipvs_link_name);
      return std::vector<Cidr>{};
    }
    if (before != found.error().message()) spdlog::warn("{}; will retry", found.error().message());
    before = found.error().message();
    if (signalled(signals)) return fail(Errc::interrupted, "a signal came first");
  }
}

}  // namespace

void warn(const std::string& text) { spdlog::warn("{}", text); }

int give_up(const Error& error) {
  spdlog::error("{}", error.message());
  return 1;
}

// Threads inherit the mask, so that the signals come to the loop alone.
Fd claim_signals() {
  ::signal(SIGPIPE, SIG_IGN);  // a peer that closes its connection is an error to handle, not a reason to die
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool wait_until_alone(SoleWriter& sole, const Fd& signals) {
  std::string before;
  while (const auto other = sole.claim()) {
    if (*other != before) spdlog::warn("{}: waiting, writing nothing, until it ends", *other);
    before = *other;
    if (signalled(signals)) return false;
  }
  return true;
}

// A --master without a kubeconfig is asked without credentials, as kube-proxy does.
Result<ApiAccess> read_access(const Flags& flags) {
  const bool anonymous = flags.config.kubeconfig.empty() && !flags.master.empty();
  auto access = anonymous                         ? ApiAccess{}
                : flags.config.kubeconfig.empty() ? in_cluster_access()
                                                  : read_kubeconfig(flags.config.kubeconfig);
  if (access && !flags.master.empty())
    if (const auto set = set_server(*access, flags.master); !set) return fail(set.error());
  return access;
}

bool asks_for_service_cidrs(const Flags& flags) {
  return flags.config.own.service_addresses == ServiceAddresses::route && flags.config.own.service_cidrs.empty() &&
         flags.manifests.empty();
}

Result<WithServiceCidrs> with_service_cidrs(const Flags& flags, const ApiAccess& access, LinuxKernel& kernel,
                                            const Fd& signals) {
  Config config = flags.config;
  if (config.own.service_addresses != ServiceAddresses::route) return WithServiceCidrs{std::move(config), {}};
  const auto found = find_service_cidrs(flags, access, signals);
  if (!found) return fail(found.error());
  const auto addresses = kernel.addresses();
  if (!addresses) return fail(addresses.error());
  auto usable = usable_service_cidrs(config, *found, *addresses);
  for (const auto& text : usable.warnings) warn(text);
  config.own.service_cidrs = std::move(usable.cidrs);
  return WithServiceCidrs{std::move(config), *found};
}

std::optional<IptablesBackend> forced_backend(const Config& config) {
  if (config.own.iptables_backend == IptablesChoice::legacy) return IptablesBackend::legacy;
  if (config.own.iptables_backend == IptablesChoice::nft) return IptablesBackend::nft;
  return {};
}

Result<std::vector<Family>> served_families(Iptables& iptables) {
  std::vector<Family> served;
  for (const auto family : families) {
    const auto backend = iptables.backend(family);
    if (backend) {
      served.push_back(family);
    } else if (family == Family::ipv6 &&
               (backend.error().code == Errc::unsupported || backend.error().code == Errc::not_found)) {
      spdlog::warn("{}: no IPv6 Services on this node", backend.error().message());
    } else {
      return fail(backend.error());
    }
  }
  return served;
}

Result<std::vector<Family>> wait_for_families(Iptables& iptables, const Fd& signals) {
  std::string before;
  for (;;) {
    auto served = served_families(iptables);
    if (served || served.error().code != Errc::busy) return served;
    const auto text = served.error().message();
    if (std::exchange(before, text) != text) warn(text + "; will retry");
    if (signalled(signals)) return fail(Errc::interrupted, "a signal came first");
  }
}

bool set_kernel_parameters(const Config& config, LinuxKernel& kernel, const std::string& node, const Record& record) {
  bool all_set = true;
  const auto tell = [&](const std::string& text) {
    all_set = false;
    warn(text);
  };
  std::ifstream release("/proc/sys/kernel/osrelease");
  std::string text;
  std::getline(release, text);
  const auto sysctls = wanted_sysctls(config, parse_kernel_version(text), std::thread::hardware_concurrency());
  apply_sysctls(sysctls, tell);
  for (const auto& sysctl : sysctls) {
    if (sysctl.path != "net/netfilter/nf_conntrack_max") continue;
    const auto raised = raise_conntrack_hash(sysctl.value);
    if (raised) continue;
    tell(raised.error().message());
    if (raised.error().sys_errno == EROFS) record(read_only_sysfs_event(node, raised.error().message()));
  }
  const nl::Timeouts timeouts{config.ipvs.tcp_timeout, config.ipvs.tcp_fin_timeout, config.ipvs.udp_timeout};
  if (timeouts != nl::Timeouts{})
    if (const auto set = kernel.ipvs().set_timeouts(timeouts); !set) tell(set.error().message());
  return all_set;
}

// Raw sockets are iptables-legacy's way to its rules.
std::vector<Capability> needed_capabilities(const Config& config, Iptables& iptables,
                                            const std::vector<Family>& served) {
  std::vector<Capability> needed{Capability::net_admin};
  for (const auto family : served)
    if (iptables.backend(family) != IptablesBackend::nft) needed.push_back(Capability::net_raw);
  for (const auto& address : {config.healthz, config.metrics})
    if (address && address->port.number < 1024) needed.push_back(Capability::net_bind_service);
  return needed;
}

void keep_capabilities(const std::vector<Capability>& needed) {
  if (const auto dropped = drop_capabilities(needed); !dropped) warn(dropped.error().message());
}

}  // namespace ipvsd
