#include "daemon/loop/retries.hpp"

#include <algorithm>

namespace ipvsd {

bool Retries::failed(const ObjectId& id, const Error& error, Instant now) {
  using std::chrono::milliseconds;
  Entry& entry = entries_[id];
  const bool news = entry.attempts == 0 || entry.error != error;
  const auto exponent = std::min(entry.attempts, 10U);
  const auto full = std::min(milliseconds(50) * (1 << exponent), milliseconds(30'000));
  const auto less = std::uniform_int_distribution<std::int64_t>(0, full.count() / 4)(random_);
  entry.error = error;
  ++entry.attempts;
  entry.due = now + full - milliseconds(less);
  entry.waiting = true;
  return news;
}

std::vector<ObjectId> Retries::take_due(Instant now) {
  std::vector<ObjectId> due;
  for (auto& [id, entry] : entries_) {
    if (!entry.waiting || entry.due > now) continue;
    entry.waiting = false;
    due.push_back(id);
  }
  return due;
}

std::optional<Instant> Retries::next_due() const {
  std::optional<Instant> next;
  for (const auto& [id, entry] : entries_)
    if (entry.waiting && (!next || entry.due < *next)) next = entry.due;
  return next;
}

}  // namespace ipvsd
