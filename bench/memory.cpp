// What stays resident, and whether it grows.
#include <algorithm>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "daemon/source/decode.hpp"

namespace ipvsd::bench {
namespace {

// Applies one watch frame and writes what follows from it.
void apply(Reconciler& reconciler, Kernel& kernel, Decoder& decoder, Kind kind, const std::string& frame) {
  auto read = decoder.watch_frame(kind, frame);
  if (!read || !read->object || !*read->object) throw std::runtime_error("a frame does not decode");
  if (read->type == WatchFrame::Type::deleted)
    reconciler.apply(Remove{kind, read->key});
  else
    reconciler.apply(Upsert{std::move((*read->object)->object)});
  settle(reconciler, kernel);
}

}  // namespace

void memory(const Options& options) {
  const std::size_t n = options.cluster.services;
  const bool large = n * options.cluster.endpoints > 100000;
  const double before = resident_mib();
  auto kernel = open_kernel();
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  settle(reconciler, kernel);
  const auto say = [&](const std::string& name, double value) {
    print({name, options.where, n, value, "MiB", {}, large ? 160 : 48, {}});
  };
  print({"memory.program", options.where, n, before, "MiB", {}, {}, {}});
  say("memory.cold_start", resident_mib());

  constexpr std::size_t changes = 100000;
  Decoder decoder;
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t round = i / n + 1;
    apply(reconciler, kernel, decoder, Kind::endpoint_slice,
          slice_frame(options.cluster, i * 7919 % n, round % 20, 20000 + i));
  }
  say("memory.after_changes", resident_mib());
}

void churn(const Options& options) {
  const std::size_t n = options.cluster.services;
  auto kernel = open_kernel();
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  settle(reconciler, kernel);

  constexpr std::size_t rounds = 10000;
  Decoder decoder;
  const auto size = reconciler.ledger().actual_size();
  const double before = resident_mib();
  std::vector<double> times;  // of each tenth
  for (std::size_t tenth = 0; tenth < 10; ++tenth) {
    double spent = 0;
    for (std::size_t i = 0; i < rounds / 10; ++i) {
      const std::uint64_t version = 20000 + tenth * rounds + i;
      const std::string frames[] = {service_frame(options.cluster, n, version, "ADDED"),
                                    slice_frame(options.cluster, n, 0, version, "ADDED"),
                                    slice_frame(options.cluster, n, 0, version, "DELETED"),
                                    service_frame(options.cluster, n, version, "DELETED")};
      const double from = options.where == "vm" ? usage().wall : usage().cpu;
      apply(reconciler, kernel, decoder, Kind::service, frames[0]);
      apply(reconciler, kernel, decoder, Kind::endpoint_slice, frames[1]);
      apply(reconciler, kernel, decoder, Kind::endpoint_slice, frames[2]);
      apply(reconciler, kernel, decoder, Kind::service, frames[3]);
      spent += (options.where == "vm" ? usage().wall : usage().cpu) - from;
    }
    times.push_back(spent * 1e6 / (rounds / 10));
  }
  // The last tenth against the fastest one.
  print({"churn", options.where, n, times.back(), "us", *std::min_element(times.begin(), times.end()), 1.5, {}});
  print({"churn.growth", options.where, n, resident_mib() - before, "MiB", {}, 1, {}});
  if (!(reconciler.ledger().actual_size() == size)) throw std::runtime_error("churn: rows are left behind");
}

}  // namespace ipvsd::bench
