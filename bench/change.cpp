// One EndpointSlice event, from the watch's socket to the kernel's acknowledgement.
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/running_loop.hpp"

namespace ipvsd::bench {
namespace {

constexpr std::size_t changes = 1000;
constexpr std::size_t warm_up = 50;

using Clock = std::chrono::steady_clock;

double micros(Clock::duration duration) { return seconds(duration) * 1e6; }

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

// The same threads woken in the same order, with nothing to do: writer, reader, loop, and back.
std::vector<double> ping_pong() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) throw std::runtime_error("socketpair");
  const Fd writer(pair[0]);
  const Fd reader(pair[1]);
  const Fd inbox(::eventfd(0, EFD_CLOEXEC));
  const Fd done(::eventfd(0, EFD_CLOEXEC));
  Clock::time_point end;
  std::thread reading([&] {
    char byte = 0;
    while (::recv(reader.get(), &byte, 1, 0) == 1) (void)::eventfd_write(inbox.get(), 1);
    (void)::eventfd_write(inbox.get(), 1);
  });
  bool last = false;
  std::thread looping([&] {
    eventfd_t count = 0;
    while (::eventfd_read(inbox.get(), &count) == 0 && !last) {
      end = Clock::now();
      (void)::eventfd_write(done.get(), 1);
    }
  });
  std::vector<double> times;
  for (std::size_t i = 0; i < changes; ++i) {
    const auto begin = Clock::now();
    if (::send(writer.get(), "x", 1, 0) != 1) throw std::runtime_error("send");
    eventfd_t count = 0;
    (void)::eventfd_read(done.get(), &count);
    times.push_back(micros(end - begin));
  }
  last = true;
  ::shutdown(writer.get(), SHUT_RDWR);
  reading.join();
  looping.join();
  return times;
}

// An endpoint added and another one taken out: what each change comes to in the end.
std::size_t steps_of(std::span<const Operation> operations) {
  return static_cast<std::size_t>(std::count_if(operations.begin(), operations.end(), [](const Operation& operation) {
    const auto* of = std::get_if<DestinationOf>(&operation.target);
    if (of == nullptr) return false;
    const bool left = of->server.protocol == Protocol::udp ? operation.verb == Verb::remove
                                                           : operation.verb == Verb::set && of->destination.weight == 0;
    return operation.verb == Verb::add || left;
  }));
}

}  // namespace

void change(const Options& options) {
  const std::size_t n = options.cluster.services;
  auto linux_kernel = open_kernel();
  WatchedKernel kernel(linux_kernel);
  Reconciler reconciler(kernel, policy(), {}, 1, warn);
  if (const auto started = reconciler.start(); !started) throw_error(started.error());
  DirectSink sink(reconciler);
  read_lists(options.directory, sink);
  settle(reconciler, kernel);
  reconciler.note_changes_since({});

  const Fd done(::eventfd(0, EFD_CLOEXEC));
  Clock::time_point end;
  std::size_t steps = 0;
  kernel.executed = [&](std::span<const Operation> operations) {
    steps += steps_of(operations);
    if (steps < 2) return;
    end = Clock::now();
    steps = 0;
    (void)::eventfd_write(done.get(), 1);
  };
  std::vector<std::string> frames;
  std::vector<std::size_t> shifts(n);
  for (std::size_t i = 0; i < warm_up + changes; ++i) {
    const std::size_t index = i * 7919 % n;
    frames.push_back(slice_frame(options.cluster, index, ++shifts[index], 20000 + i));
  }
  kernel.operations = kernel.observations = 0;
  std::vector<double> times;
  double cpu = 0;
  Usage from;
  Usage used;
  {
    RunningLoop loop(reconciler, kernel);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (i == warm_up) {
        cpu = loop.cpu();
        from = usage();
      }
      const auto begin = Clock::now();
      loop.write(Kind::endpoint_slice, frames[i]);
      eventfd_t count = 0;
      (void)::eventfd_read(done.get(), &count);
      if (i >= warm_up) times.push_back(micros(end - begin));
    }
    cpu = loop.cpu() - cpu;
    used = usage() - from;
  }
  const auto say = [&](const std::string& name, double value, const std::string& unit, std::optional<double> floor,
                       std::optional<double> at_most) {
    print({name, options.where, n, value, unit, floor, at_most, {}});
  };
  const auto floor = ping_pong();
  if (options.where == "outside") {
    say("change.cpu", cpu * 1e6 / changes, "us", {}, 60);
    say("change.allocations", static_cast<double>(used.allocations) / changes, "count", {}, {});
  } else {
    say("change.p50_over_floor", quantile(times, 0.5) - quantile(floor, 0.5), "us", {}, 300);
    say("change.p99_over_floor", quantile(times, 0.99) - quantile(floor, 0.99), "us", {}, 1000);
  }
  say("change.p50", quantile(times, 0.5), "us", quantile(floor, 0.5), {});
  say("change.p99", quantile(times, 0.99), "us", quantile(floor, 0.99), {});
  say("change.operations", static_cast<double>(kernel.operations) / (warm_up + changes), "count", {}, {});
  say("change.observations", static_cast<double>(kernel.observations) / (warm_up + changes), "count", {}, {});
}

}  // namespace ipvsd::bench
