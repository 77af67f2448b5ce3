// What the process is there for: objects in, kernel and reports out, each part put together with the others. Returns
// the exit status; what went wrong was told.
#pragma once

#include <vector>

#include "daemon/config/flags.hpp"
#include "daemon/config/kubeconfig.hpp"
#include "daemon/kernel/linux_kernel.hpp"
#include "ipset/iptables.hpp"
#include "os/fd.hpp"
#include "reconcile/policy.hpp"

namespace ipvsd {

// Until a signal, or with --once until the first full sync.
[[nodiscard]] int serve(const Flags& flags, const ApiAccess& access, Policy policy, LinuxKernel& kernel,
                        Iptables iptables, const std::vector<Family>& served, const Fd& signals);

// Prints what serve() would write first, and writes nothing.
[[nodiscard]] int dry_run(const Flags& flags, const ApiAccess& access, Policy policy, LinuxKernel& kernel,
                          const Fd& signals);

}  // namespace ipvsd
