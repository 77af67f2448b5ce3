#include "daemon/loop/proxy_watch.hpp"

#include <utility>

namespace ipvsd {

ProxyWatch::ProxyWatch(Find find, std::chrono::milliseconds period, Report report, Failed failed)
    : find_(std::move(find)), period_(period), report_(std::move(report)), failed_(std::move(failed)), thread_([this] {
        run();
      }) {}

ProxyWatch::~ProxyWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

bool ProxyWatch::alone() const {
  const std::lock_guard lock(mutex_);
  return !other_;
}

void ProxyWatch::run() {
  std::optional<Error> failure;
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    const auto found = find_();
    const auto before = std::exchange(failure, found ? std::nullopt : std::optional(found.error()));
    if (failure && failure != before) failed_(*failure);
    lock.lock();
    if (!found) continue;
    const bool news = found->has_value() != other_.has_value();
    other_ = *found;
    if (!news) continue;
    lock.unlock();
    report_(*found);
    lock.lock();
  }
}

}  // namespace ipvsd
