// The floor of what writes everything.
#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "bench/raw_writer.hpp"
#include "bench/rollout.hpp"
#include "daemon/source/decode.hpp"

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
  Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey&) override {
    return std::vector<ObservedDestination>{};
  }
  Result<bool> servers(std::size_t, std::vector<VirtualServer>&) override { return false; }
  Result<std::vector<SetEntry>> members(IpSet) override { return std::vector<SetEntry>{}; }
  Result<bool> members(IpSet, std::size_t, std::vector<SetEntry>&) override { return false; }
  Result<std::vector<LinkAddress>> addresses() override { return std::vector<LinkAddress>{}; }
  Result<std::vector<LocalRoute>> routes() override { return std::vector<LocalRoute>{}; }
  int notification_fd() const override { return -1; }
  std::vector<Notification> notifications() override { return {}; }

  std::vector<Operation> operations;
};

// A reconciler that has read the lists, above a kernel that notes.
class Recording {
 public:
  explicit Recording(const Options& options) : reconciler_(kernel_, policy(options.routed), {}, 1, warn) {
    if (const auto started = reconciler_.start(); !started) throw_error(started.error());
    DirectSink sink(reconciler_);
    read_lists(options.directory, sink);
  }

  void change(const std::string& frame) {
    auto read = decoder_.watch_frame(Kind::endpoint_slice, frame);
    if (!read || !read->object || !*read->object) throw std::runtime_error("a frame does not decode");
    reconciler_.apply(Upsert{std::move((*read->object)->object)});
  }

  // What follows from all that was read since the last call.
  std::vector<Operation> operations() {
    settle(reconciler_, kernel_);
    return std::exchange(kernel_.operations, {});
  }

 private:
  RecordingKernel kernel_;
  Reconciler reconciler_;
  Decoder decoder_;
};

void prepare() {
  auto kernel = open_kernel();
  if (const auto prepared = kernel.prepare(); !prepared) throw_error(prepared.error());
}

}  // namespace

void floor_cold_start(const Options& options) {
  prepare();
  const auto operations = Recording(options).operations();
  RawWriter writer;
  const auto say = [&](const char* name, double value) {
    print({name, options.where, options.cluster.services, value, "s", {}, {}, {}});
  };
  say("cold_start.floor", writer.write(operations));
  say("cold_start.floor_ipvs", writer.by_channel[0]);
  say("cold_start.floor_addresses", writer.by_channel[1]);
  say("cold_start.floor_sets", writer.by_channel[2]);
}

// The operations of a change in one send; what drains of a round of all Services goes in as few as possible at its end,
// with nobody asking for its connections.
void floor_rollout(const Options& options) {
  prepare();
  Recording recording(options);
  RawWriter writer;
  (void)writer.write(recording.operations());
  std::vector<std::vector<Operation>> pieces;
  for (const auto& round : rollout_frames(options.cluster, 0)) {
    std::vector<Operation> drained;
    for (const auto& frame : round) {
      recording.change(frame.text);
      auto operations = recording.operations();
      for (const auto& operation : operations)
        if (const auto* of = std::get_if<DestinationOf>(&operation.target);
            of != nullptr && operation.verb == Verb::set && of->destination.weight == 0)
          drained.push_back({Verb::remove, *of});
      pieces.push_back(std::move(operations));
    }
    pieces.push_back(std::move(drained));
  }
  print({"rollout.floor", options.where, options.cluster.services, writer.replay(pieces), "s", {}, {}, {}});
}

}  // namespace ipvsd::bench
