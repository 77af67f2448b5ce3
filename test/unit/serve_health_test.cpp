#include <catch2/catch.hpp>

#include "daemon/serve/health.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;

namespace {

// 2024-05-01 10:00:00 UTC and the steady clock's 1000 s.
Moment at(std::chrono::nanoseconds offset) {
  using std::chrono::duration_cast;
  const Moment base{std::chrono::steady_clock::time_point(1000s), std::chrono::system_clock::time_point(1714557600s)};
  return {base.steady + offset, base.wall + duration_cast<std::chrono::system_clock::duration>(offset)};
}

}  // namespace

TEST_CASE("healthy until a written family waits too long") {
  HealthState health(at(0s));
  CHECK(health.answer(at(1000s)).healthy);
  CHECK_FALSE(health.answer(at(0s)).last_updated);

  // Never written: a queued change does not count yet.
  health.queued(Family::ipv4, at(0s));
  CHECK(health.answer(at(1000s)).healthy);

  health.updated(Family::ipv4, at(1000s));
  CHECK(health.answer(at(9000s)).healthy);

  health.queued(Family::ipv4, at(9000s));
  health.queued(Family::ipv4, at(9050s));  // the oldest counts
  CHECK(health.answer(at(9060s)).healthy);
  const auto late = health.answer(at(9061s));
  CHECK_FALSE(late.healthy);
  CHECK(late.last_updated->steady == at(1000s).steady);

  // The other family's success does not help.
  health.updated(Family::ipv6, at(9061s));
  CHECK_FALSE(health.answer(at(9062s)).healthy);
  health.updated(Family::ipv4, at(9063s));
  CHECK(health.answer(at(9900s)).healthy);
  CHECK(health.answer(at(9900s)).last_updated->steady == at(9063s).steady);
}

TEST_CASE("the timeout is a parameter") {
  HealthState health(at(0s), 5s);
  health.updated(Family::ipv6, at(0s));
  health.queued(Family::ipv6, at(1s));
  CHECK(health.answer(at(6s)).healthy);
  CHECK_FALSE(health.answer(at(6s + 1ns)).healthy);
}

TEST_CASE("eligibility of the node is a question of its own") {
  HealthState health(at(0s));
  health.set_node_eligible(false);
  CHECK(health.answer(at(1s)).healthy);
  CHECK_FALSE(health.answer(at(1s)).eligible);
  health.set_node_eligible(true);
  CHECK(health.answer(at(1s)).eligible);
}

TEST_CASE("times are Go's") {
  CHECK(go_time_text(at(0s), at(0s)) == "2024-05-01 10:00:00 +0000 UTC m=+0.000000000");
  CHECK(go_time_text(at(12345678900ns), at(0s)) == "2024-05-01 10:00:12.3456789 +0000 UTC m=+12.345678900");
  CHECK(go_time_text(at(0s), at(1500ms)) == "2024-05-01 10:00:00 +0000 UTC m=-1.500000000");
  CHECK(go_time_text(std::nullopt, at(0s)) == "0001-01-01 00:00:00 +0000 UTC");
}

TEST_CASE("bodies") {
  const std::string now = go_time_text(at(2s), at(0s));
  const std::string then = go_time_text(at(1s), at(0s));
  const std::string never = "0001-01-01 00:00:00 +0000 UTC";
  const auto [answer, last_healthz, last_livez, eligible] =
      GENERATE_COPY(table<HealthAnswer, std::string, std::string, std::string>({
          {HealthAnswer{true, true, at(1s)}, now, now, "true"},
          {HealthAnswer{false, true, at(1s)}, then, then, "true"},
          {HealthAnswer{true, false, at(1s)}, then, now, "false"},
          {HealthAnswer{true, false, std::nullopt}, never, now, "false"},
      }));
  CHECK(healthz_body(answer, at(2s), at(0s)) == "{\"lastUpdated\": \"" + last_healthz + "\",\"currentTime\": \"" + now +
                                                    "\", \"nodeEligible\": " + eligible + "}");
  CHECK(livez_body(answer, at(2s), at(0s)) ==
        "{\"lastUpdated\": \"" + last_livez + "\",\"currentTime\": \"" + now + "\"}");
}
