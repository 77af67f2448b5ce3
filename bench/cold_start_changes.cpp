// A large cluster is written for the first time. Meanwhile a Service that is there already changes again and again, and
// somebody asks /healthz.
#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/opened.hpp"
#include "bench/running_loop.hpp"
#include "daemon/serve/server.hpp"

namespace ipvsd::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds pause{20};
constexpr std::chrono::seconds patience{120};

// What the loop's thread sees written. The Service that changes is the first one that is written.
class Start {
 public:
  explicit Start(std::size_t services) : services_(services), changed_(::eventfd(0, EFD_CLOEXEC)) {}

  void executed(std::span<const Operation> operations) {
    for (const auto& operation : operations) {
      if (std::holds_alternative<BoundAddress>(operation.target) && operation.verb == Verb::add) ++bound_;
      const auto* of = std::get_if<DestinationOf>(&operation.target);
      if (of == nullptr) continue;
      const std::size_t index = place_of(of->destination.key.address).index;
      if (!first_) first_ = index;
      // An endpoint that comes, or comes back while it drains, and one that leaves.
      if (serves_ && index == *first_ && operation.verb != Verb::remove) ++steps_;
    }
    // Its address is bound with the first ones, after all else of it.
    const bool serves_now = !serves_ && bound_ > 0;
    serves_ = serves_ || serves_now;
    const bool changed_now = steps_ >= 2;
    if (changed_now) steps_ = 0;
    if (serves_now || changed_now) (void)::eventfd_write(changed_.get(), 1);
  }

  // Until the Service serves; from then on, until its change is written.
  void wait() {
    pollfd waited{changed_.get(), POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) != 1)
      throw std::runtime_error("cold_start_changes: a change was not written");
    eventfd_t count = 0;
    (void)::eventfd_read(changed_.get(), &count);
  }

  [[nodiscard]] std::size_t changing() const { return *first_; }
  [[nodiscard]] bool complete() const { return bound_ >= services_; }

 private:
  const std::size_t services_;
  Fd changed_;
  std::optional<std::size_t> first_;
  bool serves_ = false;
  std::size_t steps_ = 0;  // of its change
  std::atomic<std::size_t> bound_{0};
};

// Asks /healthz again and again, until it is ended.
class HealthProbe {
 public:
  explicit HealthProbe(Port port)
      : asking_([this, port] {
          httplib::Client client("127.0.0.1", port.number);
          while (!ended_) {
            const auto from = Clock::now();
            if (const auto answer = client.Get("/healthz"); answer && answer->status == 200)
              times.push_back(Clock::now() - from);
            else
              ++failures;
            std::this_thread::sleep_for(pause);
          }
        }) {}
  ~HealthProbe() { end(); }
  void end() {
    ended_ = true;
    if (asking_.joinable()) asking_.join();
  }

  // Once it has ended.
  std::vector<Clock::duration> times;
  std::size_t failures = 0;

 private:
  std::atomic<bool> ended_{false};
  std::thread asking_;
};

double longest_ms(const std::vector<Clock::duration>& times) {
  return seconds(*std::max_element(times.begin(), times.end())) * 1e3;
}

double middle_ms(std::vector<Clock::duration> times) {
  std::sort(times.begin(), times.end());
  return seconds(times[times.size() / 2]) * 1e3;
}

}  // namespace

void cold_start_changes(const Options& options) {
  const std::size_t n = options.cluster.services;
  auto linux_kernel = open_kernel();
  WatchedKernel kernel(linux_kernel);
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  Start start(n);
  kernel.executed = [&](std::span<const Operation> operations) { start.executed(operations); };

  std::vector<Clock::duration> times;
  RunningLoop loop(reconciler, kernel);
  Shortage shortage(loop.metrics(), [](const Error& error) { warn(error.message()); });
  HealthServer server({*IpAddress::parse("127.0.0.1"), Port{}}, loop.health(), loop.metrics(), shortage);
  if (const auto bound = server.bind(); !bound) throw_error(bound.error());
  if (const auto started = server.start(); !started) throw_error(started.error());
  HealthProbe health(server.port());
  read_lists(options.directory, loop.inbox());
  start.wait();
  for (std::size_t change = 1; !start.complete(); ++change) {
    const auto from = Clock::now();
    loop.write(Kind::endpoint_slice, slice_frame(options.cluster, start.changing(), change % 2, n + change));
    start.wait();
    if (!start.complete()) times.push_back(Clock::now() - from);
    std::this_thread::sleep_for(pause);
  }
  health.end();
  server.stop();
  if (times.empty()) throw std::runtime_error("cold_start_changes: the changes were written behind all the rest");
  if (health.times.empty()) throw std::runtime_error("cold_start_changes: /healthz did not answer");

  const auto say = [&](const std::string& name, double value, const std::string& unit) {
    print({"cold_start_changes" + name, options.where, n, value, unit, {}, {}, {}});
  };
  say(".written", static_cast<double>(times.size()), "count");
  say(".middle", middle_ms(times), "ms");
  say(".oldest", longest_ms(times), "ms");
  say(".healthz", static_cast<double>(health.times.size()), "count");
  say(".healthz_failures", static_cast<double>(health.failures), "count");
  say(".healthz_longest", longest_ms(health.times), "ms");
}

}  // namespace ipvsd::bench
