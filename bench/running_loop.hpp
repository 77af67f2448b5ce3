// The daemon's threads between a watch's socket and the kernel: a reader as a reflector has it, and the loop.
#pragma once

#include <mutex>
#include <optional>
#include <thread>

#include "bench/pipeline.hpp"
#include "daemon/loop/loop.hpp"

namespace ipvsd::bench {

inline constexpr std::chrono::seconds no_audits = std::chrono::hours(24 * 365);

class RunningLoop {
 public:
  // `turned` is called at the end of each turn of the loop, on its thread.
  RunningLoop(
      Reconciler& reconciler, Kernel& kernel, std::chrono::seconds audit_period = no_audits,
      std::function<void(const LoopView&)> turned = [](const LoopView&) {});
  // Ends both threads; returns when they have.
  ~RunningLoop();

  // What the server would send on a watch.
  void write(Kind kind, std::string_view frames);
  // Where lists go; any thread.
  [[nodiscard]] EventSink& inbox() { return inbox_; }
  [[nodiscard]] const HealthState& health() const { return health_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }

  // CPU seconds of the reader and of the loop.
  [[nodiscard]] double cpu();
  // By the clock, while either of them is awake: at least their CPU time on one CPU, where the system counts that in
  // ticks only.
  [[nodiscard]] double busy();

 private:
  void read(std::size_t kind);
  void turned_since(std::chrono::steady_clock::time_point begin);
  void was_awake_since(std::chrono::steady_clock::time_point begin);
  void count_since(std::chrono::steady_clock::time_point begin);  // with mutex_ held

  Inbox inbox_;
  HealthState health_;
  Metrics metrics_;
  Fd end_;
  std::mutex mutex_;  // of the next three
  std::optional<std::chrono::steady_clock::time_point> reading_since_;
  std::chrono::steady_clock::time_point counted_until_{};
  std::chrono::steady_clock::duration busy_{};
  Loop loop_;
  std::array<std::array<Fd, 2>, 2> sockets_;  // by kind: ours, the reader's
  std::array<std::thread, 2> readers_;
  std::thread runner_;
};

}  // namespace ipvsd::bench
