// From LIST bytes on disk to the last acknowledgement.
#include <fmt/format.h>

#include <cstdio>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"

namespace ipvsd::bench {

void cold_start(const Options& options) {
  const std::size_t n = options.cluster.services;
  auto linux_kernel = open_kernel();
  WatchedKernel kernel(linux_kernel);
  kernel.timed = true;
  Reconciler reconciler(kernel, policy(options.routed), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());

  const Usage begin = usage();
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  const Usage decoded = usage();
  settle(reconciler, kernel);
  const Usage end = usage();

  const Usage all = end - begin;
  const double kernel_part = seconds(kernel.last - kernel.first);
  const std::string title = options.routed ? "cold_start_routed" : "cold_start";
  const auto say = [&](const std::string& name, double value, const std::string& unit) {
    print({title + "." + name, options.where, n, value, unit, {}, {}, {}});
  };
  if (options.where == "vm") {
    say("kernel", kernel_part, "s");
    say("wall", all.wall, "s");
    say("in_notifications", kernel.listening, "s");
    say("page_faults", static_cast<double>(all.page_faults), "count");
    say("page_faults_writing", static_cast<double>((end - decoded).page_faults), "count");
  } else {
    print({title, "outside", n, all.cpu, "s", {}, 0.25 * static_cast<double>(n) / 10000, {}});
    say("read_decode", (decoded - begin).cpu, "s");
    say("compute_encode", (end - decoded).cpu, "s");
    say("inside_execute", kernel.inside, "s");
    say("wall", all.wall, "s");
    say("page_faults", static_cast<double>(all.page_faults), "count");
  }
  say("in_ipvs", kernel.by_channel[0], "s");
  say("in_addresses", kernel.by_channel[1], "s");
  say("in_sets", kernel.by_channel[2], "s");
  say("allocations", static_cast<double>(all.allocations), "count");
  say("operations", static_cast<double>(kernel.operations), "count");
}

}  // namespace ipvsd::bench
