// The daemon's path from LIST bytes in files to acknowledged operations, driven without its threads.
#pragma once

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>

#include "daemon/loop/reconciler.hpp"
#include "daemon/source/reflector_reading.hpp"
#include "model/forwarding_kernel.hpp"

namespace ipvsd::bench {

// `routed`: the VIPs are local by one route.
[[nodiscard]] Policy policy(bool routed = false);

// Where events of the reading go: straight into a reconciler.
class DirectSink final : public EventSink {
 public:
  explicit DirectSink(Reconciler& reconciler) : reconciler_(reconciler) {}
  void push(std::vector<ClusterEvent> events) override {
    for (auto& event : events) reconciler_.apply(std::move(event));
  }

 private:
  Reconciler& reconciler_;
};

// Of a reading that must go well.
class ListListener final : public ReadingObserver {
 public:
  void on_answered(Ask::Verb) override {}
  void on_delivered(std::size_t) override {}
  void on_list_complete() override { complete = true; }
  void on_rejected(const std::string& problem) override { throw std::runtime_error(problem); }
  void on_doubt(const std::string& problem) override { throw std::runtime_error(problem); }
  bool complete = false;
};

// Reads the three lists of `directory` in pieces of 64 KiB, as they come from a connection. Throws std::runtime_error.
void read_lists(const std::string& directory, EventSink& sink);
void read_list(Kind kind, const std::string& path, EventSink& sink);

[[nodiscard]] inline double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// A kernel that passes everything on and takes down when operations were executed.
class WatchedKernel : public ForwardingKernel {
 public:
  using Clock = std::chrono::steady_clock;
  using ForwardingKernel::ForwardingKernel;

  std::vector<Failure> execute(std::span<const Operation> operations) override;
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override {
    ++observations;
    return inner_.observe(key);
  }
  Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key) override {
    ++observations;
    return inner_.destinations(key);
  }
  Result<std::vector<SetEntry>> members(IpSet set) override {
    ++observations;
    return inner_.members(set);
  }
  Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) override {
    ++observations;
    return inner_.members(set, enough, into);
  }
  std::vector<Notification> notifications() override;

  bool timed = false;  // take the times down, too: a look at the clock is a system call in the VM
  std::uint64_t operations = 0;
  std::uint64_t failures = 0;
  std::uint64_t observations = 0;
  double inside = 0;                   // seconds in execute()
  double listening = 0;                // seconds in notifications()
  std::array<double, 3> by_channel{};  // IPVS, addresses, sets
  Clock::time_point first{};
  Clock::time_point last{};
  std::function<void(std::span<const Operation>)> executed;  // after each execute()
};

// Steps until everything is written; hands notifications over between steps, as the loop does. Throws where something
// cannot be written.
void settle(Reconciler& reconciler, Kernel& kernel);

}  // namespace ipvsd::bench
