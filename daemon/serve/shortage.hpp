// What the servers do when a connection cannot be accepted for want of descriptors or memory: the client stays in the
// socket's queue, and the server looks again after a pause, not at once, because the queue goes on being readable.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>

#include "daemon/serve/metrics.hpp"
#include "model/result.hpp"

namespace ipvsd {

class Shortage {
 public:
  using Told = std::function<void(const Error&)>;
  static constexpr std::chrono::milliseconds pause{100};

  // `told` gets it once, and again only after a minute without any; called on the servers' threads. `metrics`, which
  // outlives it, counts them all.
  Shortage(Metrics& metrics, Told told) : metrics_(metrics), told_(std::move(told)) {}

  // Whether accept(2) failed for want of something that may be there in a moment: EMFILE, ENFILE, ENOBUFS, ENOMEM.
  [[nodiscard]] static bool is_one(int sys_errno);
  // It did. Any thread.
  void met(int sys_errno);

 private:
  Metrics& metrics_;
  const Told told_;
  std::atomic<std::int64_t> quiet_until_{0};  // seconds of the steady clock
};

}  // namespace ipvsd
