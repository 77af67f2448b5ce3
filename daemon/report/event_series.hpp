// Which requests Events become. One that repeats is counted on the Event that there is already (a series), and all
// together are bounded in rate, so that a fault of a thousand Services is no flood for the API server. Pure; times are
// parameters.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "daemon/report/event.hpp"

namespace ipvsd {

struct EventRequest {
  Event event;
  std::string ns;
  std::string name;
  std::uint32_t count = 1;  // 1: to be created; else a series to be patched
  WallTime first;
  WallTime last;
};

class EventSeries {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // It happened (again). False: too many different ones at once, it is dropped.
  [[nodiscard]] bool observe(const Event& event, Instant now, WallTime wall);
  // The next request that may be sent now. A first occurrence at once, the second too; what is counted after that once
  // in five minutes. One that did not repeat for six minutes starts a new Event.
  [[nodiscard]] std::optional<EventRequest> take(Instant now);
  // When take() has something to give; empty: not before the next observe().
  [[nodiscard]] std::optional<Instant> next_due(Instant now) const;
  // The Event that a series belongs to is not there any more: the next occurrence makes a new one.
  void forget(const Event& event) { held_.erase(event); }

 private:
  struct Held {
    std::string name;
    std::uint32_t count = 0;
    std::uint32_t sent = 0;
    Instant observed;
    Instant told;
    WallTime first;
    WallTime last;
  };
  [[nodiscard]] static Instant due(const Held& held);
  void refill(Instant now);

  std::map<Event, Held> held_;
  double tokens_ = burst;
  Instant refilled_{};
  std::uint32_t number_ = 0;

  static constexpr double burst = 25;
};

}  // namespace ipvsd
