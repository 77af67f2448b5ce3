// Seeded histories of changes, faults, foreign hands and restarts against the fake kernel.
//   IPVSD_HISTORIES=10000 build/test/unit/test_fault_history     the long form
//   IPVSD_SEED=N IPVSD_HISTORIES=1 build/test/unit/test_fault_history     one that failed, made as short as it gets
#include <catch2/catch.hpp>
#include <cstdlib>

#include "test/unit/fault_history.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

std::uint32_t histories() {
  const char* given = std::getenv("IPVSD_HISTORIES");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : 1000;
}

}  // namespace

TEST_CASE("once faults stop the kernel is as desired, and what was healthy stays so meanwhile") {
  std::uint64_t faults = 0;
  std::size_t most_passes = 0;
  std::size_t most_operations = 0;
  for (std::uint32_t seed = first_seed(); seed < first_seed() + histories(); ++seed) {
    const auto history = random_fault_history(seed, 100);
    const auto outcome = carry_out(history, fake_site, policy_of(seed));
    if (!outcome.failure.empty()) {
      const auto shortest = minimised(history, fake_site, policy_of(seed));
      FAIL("IPVSD_SEED=" << seed << " IPVSD_HISTORIES=1 fails: " << outcome.failure << "\nand so does, of its "
                         << history.size() << " steps:\n"
                         << to_text(shortest) << carry_out(shortest, fake_site, policy_of(seed)).failure);
    }
    faults += outcome.faults;
    most_passes = std::max(most_passes, outcome.most_passes);
    most_operations = std::max(most_operations, outcome.most_operations);
  }
  WARN(histories() << " histories, " << faults << " faults; to come right took at most " << most_passes
                   << " passes (100 ms) and " << most_operations << " operations");
  CHECK(faults >= histories());
}

TEST_CASE("a daemon that lives through the same history again and again holds no more memory") {
  // What is kept for use again, like the room of a table, has its size after the first lives.
  constexpr int settled = 3;
  constexpr int times = 9;
  constexpr std::size_t slack = 4096;
  for (std::uint32_t seed = first_seed(); seed < first_seed() + 20; ++seed) {
    INFO("IPVSD_SEED=" << seed);
    const auto lives = live_through(random_fault_history(seed, 100), times, fake_site, policy_of(seed));
    REQUIRE(lives.outcome.failure == "");
    CHECK(lives.bytes.back() <= lives.bytes[settled] + slack);
  }
}
