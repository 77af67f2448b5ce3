// LIST and WATCH bytes to objects.
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "daemon/source/decode.hpp"

namespace ipvsd::bench {
namespace {

constexpr std::size_t piece = 16U << 10;  // as from a TLS record

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path);
  return std::move(text).str();
}

void say(const Options& options, const std::string& name, double bytes, std::size_t objects, const Usage& used) {
  const std::size_t n = options.cluster.services;
  print({name, options.where, n, bytes / 1e6 / used.cpu, "MB/s", {}, {}, 500});
  print({name + ".objects", options.where, n, static_cast<double>(objects) / used.cpu, "1/s", {}, {}, {}});
  print({name + ".allocations",
         options.where,
         n,
         static_cast<double>(used.allocations) / static_cast<double>(objects),
         "count",
         {},
         {},
         {}});
}

// At its quickest: other work on the machine only ever adds.
Usage quickest(const std::function<void()>& work) {
  constexpr int turns = 3;
  std::optional<Usage> best;
  for (int turn = 0; turn < turns; ++turn) {
    const Usage from = usage();
    work();
    const Usage used = usage() - from;
    if (!best || used.cpu < best->cpu) best = used;
  }
  return *best;
}

void list(const Options& options, const std::string& name, Kind kind, const std::string& path) {
  const std::string text = read_file(path);
  std::size_t objects = 0;
  const Usage used = quickest([&] {
    objects = 0;
    Decoder decoder;
    ListReader reader([&](std::string_view item) { objects += decoder.object(kind, item).has_value() ? 1 : 0; });
    for (std::size_t at = 0; at < text.size(); at += piece)
      if (!reader.feed(std::string_view(text).substr(at, piece))) break;
    if (!reader.finish() || objects < options.cluster.services) throw std::runtime_error(path + " does not decode");
  });
  say(options, name, static_cast<double>(text.size()), objects, used);
}

void watch(const Options& options) {
  std::vector<std::string> frames;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < options.cluster.services; ++i) {
    frames.push_back(slice_frame(options.cluster, i, 0, i));
    bytes += frames.back().size();
  }
  const Usage used = quickest([&] {
    Decoder decoder;
    for (const auto& frame : frames)
      if (!decoder.watch_frame(Kind::endpoint_slice, frame)) throw std::runtime_error("a frame does not decode");
  });
  say(options, "decode.watch", static_cast<double>(bytes), frames.size(), used);
}

}  // namespace

void decode(const Options& options) {
  list(options, "decode.services", Kind::service, options.directory + "/services.json");
  list(options, "decode.endpointslices", Kind::endpoint_slice, options.directory + "/endpointslices.json");
  watch(options);
}

}  // namespace ipvsd::bench
