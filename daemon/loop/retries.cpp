#include "daemon/loop/retries.hpp"

#include <algorithm>
#include <utility>

namespace ipvsd {

bool Retries::failed(const ObjectId& id, const Error& error, const std::vector<Subject>& blocks, Instant now) {
  using std::chrono::milliseconds;
  Entry& entry = entries_[id];
  for (const auto& subject : blocks) ++blocks_[subject];
  entry.blocks.insert(entry.blocks.end(), blocks.begin(), blocks.end());
  if (std::exchange(entry.waiting, true)) return false;
  const bool news = entry.attempts == 0 || entry.error.code != error.code || entry.error.sys_errno != error.sys_errno;
  const auto exponent = std::min(entry.attempts, 10U);
  const auto full = std::min(milliseconds(50) * (1 << exponent), milliseconds(30'000));
  const auto less = std::uniform_int_distribution<std::int64_t>(0, full.count() / 4)(random_);
  entry.error = error;
  ++entry.attempts;
  entry.due = now + full - milliseconds(less);
  return news;
}

void Retries::unblock(Entry& entry) {
  for (const auto& subject : entry.blocks)
    if (const auto count = blocks_.find(subject); --count->second == 0) blocks_.erase(count);
  entry.blocks.clear();
}

void Retries::succeeded(const ObjectId& id) {
  if (entries_.empty()) return;
  const auto entry = entries_.find(id);
  // Of a row with several operations one may have failed and another succeeded: it still waits for its retry.
  if (entry == entries_.end() || entry->second.waiting) return;
  unblock(entry->second);
  entries_.erase(entry);
}

std::vector<ObjectId> Retries::take_due(Instant now) {
  std::vector<ObjectId> due;
  for (auto& [id, entry] : entries_) {
    if (!entry.waiting || entry.due > now) continue;
    entry.waiting = false;
    unblock(entry);
    due.push_back(id);
  }
  return due;
}

void Retries::forget_settled() {
  std::erase_if(entries_, [](const auto& item) { return !item.second.waiting; });
}

std::optional<Instant> Retries::next_due() const {
  std::optional<Instant> next;
  for (const auto& [id, entry] : entries_)
    if (entry.waiting && (!next || entry.due < *next)) next = entry.due;
  return next;
}

}  // namespace ipvsd
