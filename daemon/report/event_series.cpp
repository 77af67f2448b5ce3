#include "daemon/report/event_series.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

using std::chrono::minutes;

// Different Events at a time.
constexpr std::size_t event_limit = 512;
constexpr auto forget_after = minutes(6);
constexpr auto series_pause = minutes(5);
constexpr std::chrono::duration<double> token_period(3);

}  // namespace

EventSeries::Instant EventSeries::due(const Held& held) { return held.sent < 2 ? held.told : held.told + series_pause; }

bool EventSeries::observe(const Event& event, Instant now, WallTime wall) {
  std::erase_if(held_, [&](const auto& item) {
    return item.second.sent == item.second.count && now - item.second.observed >= forget_after;
  });
  if (held_.size() >= event_limit && !held_.contains(event)) return false;
  const auto [entry, added] = held_.try_emplace(event);
  Held& held = entry->second;
  if (added) {
    held.name = event_name(event, wall, number_++);
    held.first = wall;
    held.told = now;
  }
  ++held.count;
  held.observed = now;
  held.last = wall;
  return true;
}

void EventSeries::refill(Instant now) {
  const std::chrono::duration<double> passed = now - refilled_;
  tokens_ = std::min(burst, tokens_ + std::max(0.0, passed / token_period));
  refilled_ = now;
}

std::optional<EventRequest> EventSeries::take(Instant now) {
  refill(now);
  if (tokens_ < 1) return {};
  // What has not been told at all goes first.
  auto best = held_.end();
  for (auto at = held_.begin(); at != held_.end(); ++at) {
    const Held& held = at->second;
    if (held.sent == held.count || due(held) > now) continue;
    if (best == held_.end() || held.sent < best->second.sent) best = at;
  }
  if (best == held_.end()) return {};
  auto& [event, held] = *best;
  tokens_ -= 1;
  // A first occurrence is created as such; what was counted meanwhile follows as a series.
  const std::uint32_t count = held.sent == 0 ? 1 : held.count;
  held.sent = count;
  held.told = now;
  return EventRequest{event, event_namespace(event), held.name, count, held.first, held.last};
}

std::optional<EventSeries::Instant> EventSeries::next_due(Instant now) const {
  std::optional<Instant> next;
  for (const auto& [event, held] : held_)
    if (held.sent != held.count) next = std::min(next.value_or(due(held)), due(held));
  if (!next) return {};
  const auto missing = std::max(0.0, 1 - tokens_) * token_period;
  const auto token = refilled_ + std::chrono::ceil<std::chrono::milliseconds>(missing);
  return std::max({now, *next, token});
}

}  // namespace ipvsd
