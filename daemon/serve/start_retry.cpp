#include "daemon/serve/start_retry.hpp"

namespace ipvsd {

StartRetry::StartRetry(std::function<Result<void>()> start, std::function<void(const Error&)> failed, Error before,
                       std::chrono::milliseconds pause)
    : start_(std::move(start)), failed_(std::move(failed)), pause_(pause), before_(std::move(before)), thread_([this] {
        run();
      }) {}

StartRetry::~StartRetry() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void StartRetry::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (stop_.wait_for(lock, pause_, [this] { return stopping_; })) return;
    }
    const auto started = start_();
    if (started) return;
    if (started.error() != before_) failed_(started.error());
    before_ = started.error();
  }
}

}  // namespace ipvsd
