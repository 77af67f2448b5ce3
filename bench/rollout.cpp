// Every Service replaces all its endpoints at the same time: at a pace, and as fast as the events can be read.
#include "bench/rollout.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/opened.hpp"
#include "bench/running_loop.hpp"

namespace ipvsd::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds duration{10};
constexpr std::chrono::seconds patience{120};

// When each change was given to the socket, and how old it was when the kernel had all of it.
class Progress {
 public:
  Progress(const Cluster& cluster, std::size_t first)
      : first_(first), endpoints_(cluster.endpoints), services_(cluster.services), done_(::eventfd(0, EFD_CLOEXEC)) {}

  // Before it is: the thread that writes.
  void sent(std::size_t index, std::size_t step) { services_[index].sent.at(step) = Clock::now(); }

  // The loop's thread.
  void executed(std::span<const Operation> operations) {
    for (const auto& operation : operations) {
      const auto* of = std::get_if<DestinationOf>(&operation.target);
      if (of == nullptr) continue;
      const auto place = place_of(of->destination.key.address);
      auto& service = services_.at(place.index);
      const bool drains = operation.verb == Verb::set && of->destination.weight == 0;
      // An audit of the null kernel, which remembers nothing, may add one of the first endpoints again.
      if (operation.verb == Verb::add && place.endpoint >= first_ + endpoints_)
        service.added = std::max(service.added, place.endpoint + 1 - endpoints_ - first_);
      else if (drains || operation.verb == Verb::remove)
        service.left = std::max(service.left, place.endpoint + 1 - first_);
      advance(service);
    }
  }

  // The loop's thread, at the end of a turn that began at `start`. In the VM a look at the clock is a tenth of what an
  // event costs: what a turn wrote counts as written when the next one begins.
  void turned(Clock::time_point start, bool draining) {
    age(start);
    written_.swap(written_now_);
    if (complete_ < services_.size()) return;
    age(Clock::now());
    if (!draining) (void)::eventfd_write(done_.get(), 1);
  }

  // Until every change is written and nothing drains. Throws where that takes too long.
  void wait() {
    pollfd waited{done_.get(), POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) != 1)
      throw std::runtime_error("rollout: not all changes have been written");
  }

  [[nodiscard]] double oldest() const { return seconds(oldest_); }

 private:
  struct Service {
    std::array<Clock::time_point, rollout_steps> sent{};
    std::size_t added = 0;  // steps of which the new endpoint is there
    std::size_t left = 0;   // steps of which the old one gets no more connections
    std::size_t done = 0;
  };

  void advance(Service& service) {
    const std::size_t done = std::min(service.added, service.left);
    if (done <= service.done) return;
    written_now_.push_back(service.sent.at(service.done));
    service.done = done;
    if (done == rollout_steps) ++complete_;
  }

  void age(Clock::time_point now) {
    for (const auto sent : written_) oldest_ = std::max(oldest_, now - sent);
    written_.clear();
  }

  const std::size_t first_;
  const std::size_t endpoints_;
  std::vector<Service> services_;
  Fd done_;
  std::size_t complete_ = 0;
  std::vector<Clock::time_point> written_now_;  // by this turn: when the oldest of what was written had been sent
  std::vector<Clock::time_point> written_;      // by the turn before
  Clock::duration oldest_{};
};

struct Rolled {
  double cpu;   // seconds of reader and loop
  double wall;  // seconds from the first event until nothing drains any more
  double oldest;
  std::uint64_t recomputed;
  std::uint64_t operations;
};

// By turns, as deployments that proceed alike; or each Service's events in a row.
enum class Order { by_turns, in_a_row };

std::vector<std::pair<std::size_t, RolloutFrame>> with_steps(std::vector<std::vector<RolloutFrame>> rounds,
                                                             Order order) {
  std::vector<std::pair<std::size_t, RolloutFrame>> all;
  const std::size_t services = rounds.front().size();
  for (std::size_t i = 0; i < services * rounds.size(); ++i) {
    const std::size_t step = order == Order::by_turns ? i / services : i % rounds.size();
    const std::size_t at = order == Order::by_turns ? i % services : i / rounds.size();
    all.emplace_back(step, std::move(rounds[step][at]));
  }
  return all;
}

Rolled roll(const Cluster& cluster, std::size_t first, std::chrono::nanoseconds pace, Order order, bool ticks,
            Reconciler& reconciler, WatchedKernel& kernel) {
  const auto frames = with_steps(rollout_frames(cluster, first), order);
  Progress progress(cluster, first);
  kernel.executed = [&](std::span<const Operation> operations) { progress.executed(operations); };
  kernel.operations = 0;
  const auto recomputed = reconciler.counters().recomputed;
  Rolled rolled{};
  {
    RunningLoop loop(reconciler, kernel, no_audits,
                     [&](const LoopView& view) { progress.turned(view.now.steady, reconciler.draining()); });
    // The VM counts the time of a thread in ticks of 10 ms, and who wakes at each tick is always or never seen.
    const auto used = [&] { return ticks ? loop.busy() : loop.cpu(); };
    rolled.cpu = used();
    const auto begin = Clock::now();
    auto due = begin;
    for (const auto& [step, frame] : frames) {
      std::this_thread::sleep_until(due);
      due += pace;
      progress.sent(frame.index, step);
      loop.write(Kind::endpoint_slice, frame.text);
    }
    progress.wait();
    rolled.wall = seconds(Clock::now() - begin);
    rolled.cpu = used() - rolled.cpu;
  }
  kernel.executed = {};
  rolled.oldest = progress.oldest();
  rolled.recomputed = reconciler.counters().recomputed - recomputed;
  rolled.operations = kernel.operations;
  return rolled;
}

}  // namespace

std::vector<std::vector<RolloutFrame>> rollout_frames(const Cluster& cluster, std::size_t first) {
  std::vector<std::vector<RolloutFrame>> rounds(rollout_steps);
  std::uint64_t version = 20000 + first * cluster.services;
  for (std::size_t step = 0; step < rollout_steps; ++step)
    for (std::size_t i = 0; i < cluster.services; ++i) {
      const std::size_t index = i * 7919 % cluster.services;
      rounds[step].push_back({index, slice_frame(cluster, index, first + step + 1, ++version)});
    }
  return rounds;
}

void rollout(const Options& options) {
  const auto& cluster = options.cluster;
  const std::size_t n = cluster.services;
  const double changes = static_cast<double>(n * rollout_steps);
  auto linux_kernel = open_kernel();
  WatchedKernel kernel(linux_kernel);
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  settle(reconciler, kernel);

  const auto say = [&](const std::string& name, const Rolled& rolled, bool paced) {
    const auto one = [&](const std::string& what, double value, const std::string& unit,
                         std::optional<double> floor = {}, std::optional<double> at_most = {}) {
      print({name + "." + what, options.where, n, value, unit, floor, at_most, {}});
    };
    const auto bound = [&](double value) { return paced ? std::optional(value) : std::nullopt; };
    one("cpu", rolled.cpu, "s");
    one("cpu_per_change", rolled.cpu * 1e6 / changes, "us");
    one("recomputed", static_cast<double>(rolled.recomputed), "count", changes, 1);
    one("oldest", rolled.oldest * 1e3, "ms", {}, bound(100));
    one("wall", rolled.wall, "s");
    one("operations", static_cast<double>(rolled.operations), "count");
  };
  const bool ticks = options.where == "vm";
  const std::chrono::nanoseconds pace = std::chrono::nanoseconds(duration) / (n * rollout_steps);
  say("rollout", roll(cluster, 0, pace, Order::by_turns, ticks, reconciler, kernel), true);
  say("rollout_burst", roll(cluster, rollout_steps, {}, Order::in_a_row, ticks, reconciler, kernel), false);
}

}  // namespace ipvsd::bench
