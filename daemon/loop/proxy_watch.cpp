#include "daemon/loop/proxy_watch.hpp"

namespace ipvsd {

ProxyWatch::ProxyWatch(Find find, std::chrono::milliseconds period, Report report)
    : find_(std::move(find)), period_(period), report_(std::move(report)), thread_([this] { run(); }) {}

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
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    auto found = find_();
    lock.lock();
    const bool news = found.has_value() != other_.has_value();
    other_ = found;
    if (!news) continue;
    lock.unlock();
    report_(found);
    lock.lock();
  }
}

}  // namespace ipvsd
