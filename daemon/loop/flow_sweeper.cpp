#include "daemon/loop/flow_sweeper.hpp"

#include <algorithm>
#include <array>

namespace ipvsd {
namespace {

using Clock = std::chrono::steady_clock;

// Held in memory at a time; a table can have millions.
constexpr std::size_t flows_per_look = 1U << 16;
constexpr int rest_per_look = 9;
constexpr std::chrono::seconds first_retry{1};
constexpr std::chrono::seconds last_retry{30};

}  // namespace

Swept sweep(Flows& flows, const FlowSearch& search) {
  Swept swept;
  for (;;) {
    std::vector<Flow> stale;
    const auto listed = flows.list(search.filter(), [&](const Flow& flow) {
      if (stale.size() < flows_per_look && search.stale(flow)) stale.push_back(flow);
    });
    std::size_t gone = stale.size();
    for (const auto& failure : flows.remove(stale)) {
      --gone;
      if (failure.error.code != Errc::not_found) swept.error = failure.error;
    }
    swept.deleted += gone;
    if (!listed) swept.error = listed.error();
    if (swept.error || stale.size() < flows_per_look) return swept;
  }
}

FlowSweeper::FlowSweeper(Flows& flows, Report report)
    : flows_(flows), report_(std::move(report)), thread_([this] { run(); }) {}

void FlowSweeper::want(std::vector<FrontendFlows> frontends) {
  const std::lock_guard lock(mutex_);
  for (auto& frontend : frontends) unsettled_.add(std::move(frontend));
  changed_.notify_all();
}

void FlowSweeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::vector<FrontendFlows> FlowSweeper::look(std::vector<FrontendFlows> frontends) {
  std::array<bool, families.size()> failed{};
  for (const auto family : families) {
    const FlowSearch search(family, frontends);
    if (search.empty()) continue;
    const auto start = Clock::now();
    const Swept swept = sweep(flows_, search);
    failed[static_cast<std::size_t>(family)] = swept.error.has_value();
    report_({family, Clock::now() - start, swept});
  }
  std::erase_if(frontends, [&](const FrontendFlows& frontend) {
    return !failed[static_cast<std::size_t>(frontend.frontend.family())];
  });
  return frontends;
}

void FlowSweeper::run() {
  std::unique_lock lock(mutex_);
  auto retry = first_retry;
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !unsettled_.empty(); });
    if (unsettled_.empty()) return;
    const bool last = stopping_;
    auto frontends = unsettled_.take();
    lock.unlock();
    const auto start = Clock::now();
    auto again = look(std::move(frontends));
    Clock::duration pause = rest_per_look * (Clock::now() - start);
    lock.lock();
    if (last) return;
    if (again.empty()) {
      retry = first_retry;
    } else {
      pause = std::max<Clock::duration>(pause, retry);
      retry = std::min(2 * retry, last_retry);
    }
    for (auto& frontend : again) unsettled_.put_back(std::move(frontend));
    changed_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

}  // namespace ipvsd
