#include "daemon/serve/health.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace ipvsd {

void HealthState::queued(Family family, Moment now) {
  const std::lock_guard lock(mutex_);
  auto& state = families_[static_cast<std::size_t>(family)];
  if (!state.queued) state.queued = now;
}

void HealthState::updated(Family family, Moment now) {
  const std::lock_guard lock(mutex_);
  families_[static_cast<std::size_t>(family)] = {std::nullopt, now};
}

void HealthState::set_node_eligible(bool eligible) {
  const std::lock_guard lock(mutex_);
  eligible_ = eligible;
}

HealthAnswer HealthState::answer(Moment now) const {
  const std::lock_guard lock(mutex_);
  HealthAnswer answer;
  answer.eligible = eligible_;
  for (const auto& state : families_) {
    if (!state.updated) continue;
    if (state.queued && now.steady - state.queued->steady > timeout_) return {false, eligible_, state.updated};
    if (!answer.last_updated || state.updated->steady > answer.last_updated->steady)
      answer.last_updated = state.updated;
  }
  return answer;
}

std::string healthz_body(const HealthAnswer& answer, Moment now, Moment started) {
  const auto last = answer.healthy && answer.eligible ? std::optional(now) : answer.last_updated;
  return fmt::format(R"({{"lastUpdated": "{}","currentTime": "{}", "nodeEligible": {}}})", go_time_text(last, started),
                     go_time_text(now, started), answer.eligible);
}

std::string livez_body(const HealthAnswer& answer, Moment now, Moment started) {
  const auto last = answer.healthy ? std::optional(now) : answer.last_updated;
  return fmt::format(R"({{"lastUpdated": "{}","currentTime": "{}"}})", go_time_text(last, started),
                     go_time_text(now, started));
}

std::string go_time_text(const std::optional<Moment>& moment, Moment started) {
  using namespace std::chrono;
  if (!moment) return "0001-01-01 00:00:00 +0000 UTC";
  const auto second = floor<seconds>(moment->wall);
  const auto rest = duration_cast<nanoseconds>(moment->wall - second).count();
  std::string fraction = rest == 0 ? "" : fmt::format(".{:09}", rest);
  while (fraction.ends_with('0')) fraction.pop_back();
  const auto running = duration_cast<nanoseconds>(moment->steady - started.steady).count();
  return fmt::format("{:%Y-%m-%d %H:%M:%S}{} +0000 UTC m={}{}.{:09}", fmt::gmtime(system_clock::to_time_t(second)),
                     fraction, running < 0 ? '-' : '+', std::abs(running / 1'000'000'000),
                     std::abs(running % 1'000'000'000));
}

}  // namespace ipvsd
