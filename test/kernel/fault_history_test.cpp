// The histories of test/unit/fault_history.hpp on the kernel of a fresh network namespace, with faults between the
// operations and in the netlink sockets below them.
//   IPVSD_HISTORIES=200 scripts/vm -t 3600 build/test/kernel/test_kernel_fault_history     the long form
//   IPVSD_SEED=N IPVSD_HISTORIES=1 scripts/vm build/test/kernel/test_kernel_fault_history     one that failed
#include <sched.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "daemon/kernel/linux_kernel.hpp"
#include "os/process.hpp"
#include "test/kernel/netlink_faults.hpp"
#include "test/unit/fault_history.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

std::uint32_t histories() {
  const char* given = std::getenv("IPVSD_HISTORIES");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : 10;
}

void ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ip");
  const auto done = run_process(arguments, "", std::chrono::seconds(5));
  REQUIRE(done);
}

LinuxKernel fresh_node() {
  REQUIRE(::unshare(CLONE_NEWNET) == 0);
  ip({"link", "set", "lo", "up"});
  ip({"link", "add", "eth0", "type", "dummy"});
  ip({"addr", "add", "192.168.77.2/24", "dev", "eth0"});
  auto kernel = LinuxKernel::open();
  if (!kernel) FAIL(kernel.error().message());
  return std::move(*kernel);
}

class RealSite final : public Site {
 public:
  RealSite() : kernel_(fresh_node()) {}
  ~RealSite() override { calm_netlink(); }
  Kernel& kernel() override { return kernel_; }
  void remove_link() override { ip({"link", "del", "kube-ipvs0"}); }
  void trouble(std::uint32_t seed, unsigned rate) override {
    trouble_netlink(seed, 60 * rate);
  }  // a start is hundreds of calls
  void calm() override { calm_netlink(); }

 private:
  LinuxKernel kernel_;
};

std::unique_ptr<Site> real_site() { return std::make_unique<RealSite>(); }

}  // namespace

TEST_CASE("once faults stop the real kernel is as desired, and what was healthy stays so meanwhile") {
  constexpr std::uint32_t settled = 5;
  constexpr std::size_t slack = 64 * 1024;
  std::uint64_t faults = 0;
  std::vector<std::size_t> bytes;
  for (std::uint32_t seed = first_seed(); seed < first_seed() + histories(); ++seed) {
    const auto history = random_fault_history(seed, 100);
    const auto outcome = carry_out(history, real_site, policy_of(seed));
    if (!outcome.failure.empty()) {
      const auto shortest = minimised(history, real_site, policy_of(seed));
      FAIL("IPVSD_SEED=" << seed << " IPVSD_HISTORIES=1 fails: " << outcome.failure << "\nand so does, of its "
                         << history.size() << " steps:\n"
                         << to_text(shortest) << carry_out(shortest, real_site, policy_of(seed)).failure);
    }
    faults += outcome.faults;
    bytes.push_back(bytes_in_use());
  }
  WARN(histories() << " histories, " << faults << " faults of operations and " << netlink_faults() << " of sockets, "
                   << late_answers() << " of these late answers");
  if (bytes.size() > settled) {
    WARN(bytes[settled] << " bytes in use after the first, " << bytes.back() << " after the last");
    CHECK(bytes.back() <= bytes[settled] + slack);
  }
  CHECK(faults > 0);
  CHECK(netlink_faults() > 0);
  if (histories() >= 10) CHECK(late_answers() > 0);
}
