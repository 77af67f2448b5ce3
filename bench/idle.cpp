// Nothing changes: what looking at the kernel costs, with audits at their default periods.
#include <sys/resource.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/running_loop.hpp"
#include "daemon/loop/rules_keeper.hpp"

namespace ipvsd::bench {
namespace {

// CPU seconds of the programs that were run, iptables-save that is.
double children_cpu() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
}

// How long the turns took, pass by pass of the audit: each pass does the same work over again, a look at each turn.
class Passes {
 public:
  using Duration = std::chrono::steady_clock::duration;

  void add(Duration turn) {
    turns_.push_back(turn);
    longest_ = std::max(longest_, turn);
  }
  // With the last turn a pass ended.
  void end() { ended_.push_back(std::exchange(turns_, {})); }

  // Of all turns, as they came.
  [[nodiscard]] Duration longest() const { return longest_; }
  // Of each turn the shorter one of two passes: what else the machine does, and memory that is touched for the first
  // time, only ever add, and not at the same place of both. Counted from the end, because the first pass begins with
  // the start.
  [[nodiscard]] std::vector<Duration> shortest() const {
    if (ended_.empty()) return turns_;  // what follows the last pass that ended is not in it
    std::vector<Duration> shortest(ended_.front().rbegin(), ended_.front().rend());
    for (const auto& pass : ended_) {
      shortest.resize(std::min(shortest.size(), pass.size()));
      for (std::size_t i = 0; i < shortest.size(); ++i) shortest[i] = std::min(shortest[i], *(pass.rbegin() + i));
    }
    return shortest;
  }

 private:
  std::vector<std::vector<Duration>> ended_;
  std::vector<Duration> turns_;  // of the pass that goes on
  Duration longest_{};
};

void await_ready(const RulesKeeper& rules) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!rules.ready()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("idle: the rules cannot be written");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

void idle(const Options& options) {
  const std::size_t n = options.cluster.services;
  // The null kernel remembers nothing, and each audit would repair everything.
  if (options.where != "vm") throw std::runtime_error("idle needs a real kernel");
  const Config config;
  auto kernel = open_kernel();
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  RulesKeeper rules(Iptables(), config.own.rules_audit_period, [](Family, const Result<Iptables::Ensured>& ensured) {
    if (!ensured) warn(ensured.error().message());
  });
  for (const auto family : families) rules.want(family, rules_config(config, nullptr, family));
  await_ready(rules);
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  settle(reconciler, kernel);

  const auto before = reconciler.counters();
  const auto operations = reconciler.tally().count(0);
  Passes passes;
  auto audits = before.audits;
  Usage used;
  double children = 0;
  {
    RunningLoop loop(reconciler, kernel, config.own.audit_period, [&](const LoopView& view) {
      passes.add(std::chrono::steady_clock::now() - view.now.steady);
      if (reconciler.counters().audits != audits) passes.end();
      audits = reconciler.counters().audits;
    });
    const Usage from = usage();
    children = children_cpu();
    std::this_thread::sleep_for(options.idle);
    used = usage() - from;
    children = children_cpu() - children;
  }
  const auto after = reconciler.counters();
  if (reconciler.tally().count(0) != operations) throw std::runtime_error("idle: something was written");
  const auto say = [&](const std::string& name, double value, const std::string& unit,
                       std::optional<double> at_most = {}) {
    print({"idle" + name, options.where, n, value, unit, {}, at_most, {}});
  };
  say("", (used.cpu + children) * 100 / used.wall, "%", 1);
  say(".own", used.cpu * 100 / used.wall, "%");
  say(".rules_programs", children * 100 / used.wall, "%");
  // By the clock: the CPU time of a thread is counted in ticks of 10 ms in the VM.
  auto turns = passes.shortest();
  std::sort(turns.begin(), turns.end());
  say(".longest_turn", seconds(turns.back()) * 1e3, "ms", 5);
  say(".longest_turn_as_it_came", seconds(passes.longest()) * 1e3, "ms");
  say(".middle_turn", seconds(turns[turns.size() / 2]) * 1e3, "ms");
  say(".turns", static_cast<double>(turns.size()), "count");
  say(".audits", static_cast<double>(after.audits - before.audits), "count");
  say(".seconds", used.wall, "s");
}

}  // namespace ipvsd::bench
