#include "test/fake/fake_flows.hpp"

#include <algorithm>
#include <stdexcept>

namespace ipvsd::test {
namespace {

bool same_tuple(const Flow& a, const Flow& b) {
  return a.protocol == b.protocol && a.zone == b.zone && a.original == b.original;
}

// The tuples of both directions lie in one table, each once.
bool collide(const Flow& a, const Flow& b) {
  if (a.protocol != b.protocol || a.zone != b.zone) return false;
  return a.original == b.original || a.original == b.reply || a.reply == b.original || a.reply == b.reply;
}

}  // namespace

Result<void> FakeFlows::list(const FlowFilter& filter, const Visit& visit) {
  const std::lock_guard lock(mutex_);
  ++lists;
  filters_.push_back(filter);
  const auto error = fault ? fault() : std::nullopt;
  for (std::size_t i = 0; i < (error ? entries_.size() / 2 : entries_.size()); ++i)
    if (filter.admits(entries_[i])) visit(entries_[i]);
  if (error) return fail(*error);
  return {};
}

std::vector<Failure> FakeFlows::remove(std::span<const Flow> flows) {
  const std::lock_guard lock(mutex_);
  std::vector<Failure> failures;
  for (std::size_t i = 0; i < flows.size(); ++i) {
    const auto removed = std::erase_if(
        entries_, [&](const Flow& entry) { return same_tuple(entry, flows[i]) && entry.id == flows[i].id; });
    if (removed == 0) failures.push_back({i, Error{Errc::not_found, ENOENT, "fake: " + flows[i].to_string()}});
  }
  return failures;
}

void FakeFlows::create(Flow flow) {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_)
    if (collide(entry, flow)) throw std::invalid_argument("a flow exists once: " + flow.to_string());
  flow.id = next_id_++;
  entries_.push_back(flow);
}

std::vector<std::string> FakeFlows::text() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& entry : entries_) lines.push_back(entry.to_string());
  return lines;
}

std::vector<FlowFilter> FakeFlows::filters() const {
  const std::lock_guard lock(mutex_);
  return filters_;
}

}  // namespace ipvsd::test
