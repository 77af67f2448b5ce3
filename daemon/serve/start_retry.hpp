// Starts what could not be started at once, as soon as it can be.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "model/result.hpp"

namespace ipvsd {

class StartRetry {
 public:
  // Calls `start` on a thread of its own after each `pause` until it succeeds. `failed` gets each failure that is not
  // the same as the one before, of which `before` is the first.
  StartRetry(std::function<Result<void>()> start, std::function<void(const Error&)> failed, Error before,
             std::chrono::milliseconds pause = std::chrono::seconds(5));
  ~StartRetry();  // gives up
  StartRetry(const StartRetry&) = delete;
  StartRetry& operator=(const StartRetry&) = delete;

 private:
  void run();

  const std::function<Result<void>()> start_;
  const std::function<void(const Error&)> failed_;
  const std::chrono::milliseconds pause_;
  Error before_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ipvsd
