// The dump at a start, and the audit of the same in slices.
#include <algorithm>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "bench/raw_writer.hpp"

namespace ipvsd::bench {

void observe(const Options& options) {
  const std::size_t n = options.cluster.services;
  auto kernel = open_kernel();
  {
    Reconciler reconciler(kernel, policy(), {}, 1, warn);
    if (const auto started = reconciler.start(); !started) throw_error(started.error());
    DirectSink sink(reconciler);
    read_lists(options.directory, sink);
    settle(reconciler, kernel);
  }
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  const Usage before = usage();
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  const Usage start = usage() - before;

  RawWriter raw;
  const auto servers = reconciler.ledger().servers();
  const double floor = raw.read(servers);
  print({"observe.start", options.where, n, start.wall, "s", floor, 1.3, {}});

  const auto pace = audit_pace(servers.size(), std::chrono::minutes(5));
  double whole = 0;
  double longest = 0;
  for (bool done = false; !done;) {
    const Usage from = usage();
    done = reconciler.audit(pace.servers, pace.sets);
    const Usage slice = usage() - from;
    whole += slice.wall;
    longest = std::max(longest, slice.wall);  // the CPU time comes in ticks of 10 ms
  }
  print({"observe.audit", options.where, n, whole, "s", floor, 1.3, {}});
  print({"observe.audit_longest_slice", options.where, n, longest * 1e3, "ms", {}, 5, {}});
}

}  // namespace ipvsd::bench
