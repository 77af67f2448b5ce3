// From an API server over TLS to the last acknowledgement, on one thread, so that each part's CPU time is known.
#include <fmt/format.h>

#include <stdexcept>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "daemon/source/api_source.hpp"

namespace ipvsd::bench {
namespace {

double own_cpu() { return thread_cpu(::pthread_self()); }

// CPU seconds within a call go to `sum`.
class Metered {
 public:
  explicit Metered(double& sum) : sum_(sum), from_(own_cpu()) {}
  ~Metered() { sum_ += own_cpu() - from_; }

 private:
  double& sum_;
  const double from_;
};

class MeteredSink final : public EventSink {
 public:
  explicit MeteredSink(Reconciler& reconciler) : sink_(reconciler) {}
  void push(std::vector<ClusterEvent> events) override {
    const Metered metered(cpu);
    sink_.push(std::move(events));
  }
  double cpu = 0;

 private:
  DirectSink sink_;
};

class MeteredKernel final : public WatchedKernel {
 public:
  using WatchedKernel::WatchedKernel;
  std::vector<Failure> execute(std::span<const Operation> done) override {
    const Metered metered(cpu);
    return WatchedKernel::execute(done);
  }
  double cpu = 0;
};

struct Received {
  double whole = 0;   // CPU seconds of the requests
  double pieces = 0;  // of these, from bytes to events, and in the sink
  double bytes = 0;
};

// The whole list in one answer, as a server gives it that has it at hand.
void list(const WatchedResource& resource, const ApiAccess& access, EventSink& sink, Received& received) {
  Ask ask;
  ask.verb = Ask::Verb::list;
  ReflectorState state;
  ListListener listener;
  AnswerReading reading(resource.kind, ask, 16U << 20, sink, state, listener);
  const Metered metered(received.whole);
  ApiConnection connection(access);
  const auto answer = connection.get(fmt::format("{}?{}&resourceVersion=0", resource.path, resource.selector),
                                     std::chrono::seconds(300), [&](std::string_view piece) {
                                       const Metered inside(received.pieces);
                                       received.bytes += static_cast<double>(piece.size());
                                       return reading.receive(piece);
                                     });
  if (!answer) throw_error(answer.error());
  (void)reading.finish(answer);
  if (!listener.complete)
    throw std::runtime_error(fmt::format("{}: {} {}", resource.path, answer->status, answer->body));
}

}  // namespace

void cold_start_api(const Options& options) {
  const auto access = read_kubeconfig(options.kubeconfig);
  if (!access) throw_error(access.error());
  auto linux_kernel = open_kernel();
  MeteredKernel kernel(linux_kernel);
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());

  const Usage begin = usage();
  MeteredSink sink(reconciler);
  Received received;
  for (const auto& resource : {watched_node(this_node), watched_services(), watched_endpoint_slices()})
    list(resource, *access, sink, received);
  double settling = 0;
  {
    const Metered metered(settling);
    settle(reconciler, kernel);
  }
  const Usage all = usage() - begin;
  if (reconciler.ledger().server_count() < options.cluster.services)
    throw std::runtime_error("cold_start_api: the server has not as many Services");

  const double peak = peak_resident_mib();
  const auto say = [&](const std::string& name, double value, const std::string& unit, std::optional<double> floor = {},
                       std::optional<double> at_most = {}) {
    print({"cold_start_api" + name, options.where, options.cluster.services, value, unit, floor, at_most, {}});
  };
  say("", all.cpu, "s");
  say(".wall", all.wall, "s");
  const auto share = [&](const std::string& name, double cpu) { say(name, cpu * 100 / all.cpu, "%"); };
  share(".reading", received.whole - received.pieces);
  share(".decoding", received.pieces - sink.cpu);
  share(".computing", sink.cpu + settling - kernel.cpu);
  share(".writing", kernel.cpu);
  say(".lists", received.bytes / (1 << 20), "MiB");
  say(".peak", peak, "MiB");
  // Beside the bytes of the lists.
  say(".peak_over_end", peak - resident_mib(), "MiB", received.bytes / (1 << 20), 0.25);
}

}  // namespace ipvsd::bench
