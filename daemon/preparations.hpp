// What a start finds out, waits for and sets before anything is served. Where it waits, a signal ends it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/flags.hpp"
#include "daemon/config/kubeconfig.hpp"
#include "daemon/kernel/linux_kernel.hpp"
#include "daemon/loop/sole_writer.hpp"
#include "daemon/report/event.hpp"
#include "ipset/iptables.hpp"
#include "os/fd.hpp"
#include "os/privileges.hpp"

namespace ipvsd {

void warn(const std::string& text);
// One line that says what is missing; returns exit status 1.
[[nodiscard]] int give_up(const Error& error);

// SIGTERM and SIGINT, from now on to be read here and nowhere else.
[[nodiscard]] Fd claim_signals();

// Until nobody else writes here; false if a signal came first.
[[nodiscard]] bool wait_until_alone(SoleWriter& sole, const Fd& signals);

// How the API server is to be asked, as flags, kubeconfig or the Pod's own service account say.
[[nodiscard]] Result<ApiAccess> read_access(const Flags& flags);

// Whether the API server says what the Service CIDRs are.
[[nodiscard]] bool asks_for_service_cidrs(const Flags& flags);
struct WithServiceCidrs {
  Config config;            // with those that are in effect
  std::vector<Cidr> found;  // all that there are
};
// Error interrupted: a signal came first.
[[nodiscard]] Result<WithServiceCidrs> with_service_cidrs(const Flags& flags, const ApiAccess& access,
                                                          LinuxKernel& kernel, const Fd& signals);

[[nodiscard]] std::optional<IptablesBackend> forced_backend(const Config& config);
// The families that have an iptables backend. IPv4 must; without one for IPv6 there are no IPv6 Services.
[[nodiscard]] Result<std::vector<Family>> served_families(Iptables& iptables);
// The same, once the lock of iptables, descriptors and processes are to be had; error interrupted: a signal came first.
[[nodiscard]] Result<std::vector<Family>> wait_for_families(Iptables& iptables, const Fd& signals);

// Events for the API server, where there is one.
using Record = std::function<void(Event)>;
// Sysctls and IPVS's timeouts. Returns whether everything is as it should be; what is not was told.
[[nodiscard]] bool set_kernel_parameters(const Config& config, LinuxKernel& kernel, const std::string& node,
                                         const Record& record);

// What serving takes: all else goes before anything is read from the network.
[[nodiscard]] std::vector<Capability> needed_capabilities(const Config& config, Iptables& iptables,
                                                          const std::vector<Family>& served);
// Drops the others, of the programs that are run from now on too.
void keep_capabilities(const std::vector<Capability>& needed);

}  // namespace ipvsd
