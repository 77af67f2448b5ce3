#include <sched.h>
#include <catch2/catch.hpp>

#include "daemon/kernel/linux_kernel.hpp"
#include "os/process.hpp"
#include "test/contract/subject.hpp"

namespace ipvsd::test {

// IPVS tables, links and sets belong to a network namespace: a new one is an empty kernel. IPVS takes no IPv4
// destination before some link has an IPv4 address (inet_addr_type() knows no local table), so loopback comes up.
std::unique_ptr<Kernel> make_kernel() {
  REQUIRE(::unshare(CLONE_NEWNET) == 0);
  REQUIRE(run_process({"ip", "link", "set", "lo", "up"}, "", std::chrono::seconds(5))->exit_status == 0);
  auto kernel = LinuxKernel::open();
  if (!kernel) FAIL(kernel.error().message());
  const auto prepared = kernel->prepare();
  if (!prepared) FAIL(prepared.error().message());
  return std::make_unique<LinuxKernel>(std::move(*kernel));
}

}  // namespace ipvsd::test
