// Random histories against the kernel of a fresh network namespace: what it holds in the end is what a computation from
// scratch says. The seeds are those of the unit tests; IPVSD_SEED gives the first of them.
#include <sched.h>

#include <catch2/catch.hpp>

#include "daemon/kernel/linux_kernel.hpp"
#include "os/process.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/random_cluster.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

constexpr std::uint32_t histories = 30;

void ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ip");
  const auto done = run_process(arguments, "", std::chrono::seconds(5));
  REQUIRE(done);
  REQUIRE(done->exit_status == 0);
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

}  // namespace

TEST_CASE("after any history the kernel holds what a computation from scratch says") {
  for (std::uint32_t seed = first_seed(); seed < first_seed() + histories; ++seed) {
    INFO("IPVSD_SEED=" << seed);
    std::mt19937 random(seed);
    auto kernel = fresh_node();
    // Every other one knows who is outside.
    SimulatedNode node(kernel, seed % 2 == 0 ? marking_policy() : plain_policy());
    random_history(node, random, 10);
    node.start();
    random_history(node, random, 60);
    node.settle();
    REQUIRE(node.text() == from_scratch(node.objects, node.policy));
    CHECK(node.reconciler->counters().retries == 0);

    // Killed, and started again after some more has happened.
    node.reconciler.reset();
    random_history(node, random, 10);
    node.start();
    REQUIRE(node.text() == from_scratch(node.objects, node.policy));

    // The audit looks at everything and finds nothing.
    while (!node.reconciler->audit(64, 8)) {
    }
    const auto& counters = node.reconciler->counters();
    CHECK(counters.drift_servers + counters.drift_addresses + counters.drift_entries == 0);
  }
}
