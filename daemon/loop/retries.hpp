// Which rows failed, why, and when they are tried again. A retry carries no operation: it is computed anew from what is
// desired then. Pure; time and randomness are parameters.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "reconcile/ledger.hpp"

namespace ipvsd {

using Instant = std::chrono::steady_clock::time_point;

class Retries {
 public:
  struct Entry {
    Error error;
    std::uint32_t attempts = 0;
    Instant due;
    bool waiting = true;  // false: handed out by take_due() and not reported on since
  };

  explicit Retries(std::uint32_t seed) : random_(seed) {}

  // Delay 50 ms * 2^attempts, at most 30 s, less up to a quarter of it by chance. Returns whether this error is new for
  // the row, so that it is logged once and not at every attempt.
  bool failed(const ObjectId& id, const Error& error, Instant now);
  void succeeded(const ObjectId& id) {
    if (!entries_.empty()) entries_.erase(id);
  }

  [[nodiscard]] std::vector<ObjectId> take_due(Instant now);
  [[nodiscard]] std::optional<Instant> next_due() const;
  [[nodiscard]] const std::map<ObjectId, Entry>& entries() const { return entries_; }

 private:
  std::map<ObjectId, Entry> entries_;
  std::mt19937 random_;
};

}  // namespace ipvsd
