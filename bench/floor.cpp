// The floor of what writes everything.
#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "bench/raw_writer.hpp"

namespace ipvsd::bench {
namespace {

// Notes what it is told to do, and has nothing.
class RecordingKernel final : public Kernel {
 public:
  Result<void> prepare() override { return {}; }
  Result<void> unprepare() override { return {}; }
  std::vector<Failure> execute(std::span<const Operation> asked) override {
    operations.insert(operations.end(), asked.begin(), asked.end());
    return {};
  }
  Result<KernelState> observe() override { return KernelState{}; }
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey&) override {
    return std::optional<ObservedVirtualServer>{};
  }
  Result<std::vector<SetEntry>> members(IpSet) override { return std::vector<SetEntry>{}; }
  Result<bool> members(IpSet, std::size_t, std::vector<SetEntry>&) override { return false; }
  Result<std::vector<LinkAddress>> addresses() override { return std::vector<LinkAddress>{}; }
  Result<std::vector<LocalRoute>> routes() override { return std::vector<LocalRoute>{}; }
  int notification_fd() const override { return -1; }
  std::vector<Notification> notifications() override { return {}; }

  std::vector<Operation> operations;
};

std::vector<Operation> operations_of(const Options& options) {
  RecordingKernel recording;
  Reconciler reconciler(recording, policy(options.routed), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  settle(reconciler, recording);
  return std::move(recording.operations);
}

void prepare() {
  auto kernel = open_kernel();
  if (const auto prepared = kernel.prepare(); !prepared) throw_error(prepared.error());
}

}  // namespace

void floor_cold_start(const Options& options) {
  prepare();
  const auto operations = operations_of(options);
  RawWriter writer;
  const auto say = [&](const char* name, double value) {
    print({name, options.where, options.cluster.services, value, "s", {}, {}, {}});
  };
  say("cold_start.floor", writer.write(operations));
  say("cold_start.floor_ipvs", writer.by_channel[0]);
  say("cold_start.floor_addresses", writer.by_channel[1]);
  say("cold_start.floor_sets", writer.by_channel[2]);
}

}  // namespace ipvsd::bench
