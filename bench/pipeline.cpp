#include "bench/pipeline.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <stdexcept>

#include "bench/objects.hpp"
#include "os/fd.hpp"

namespace ipvsd::bench {

Policy policy(bool routed) {
  Policy policy;
  if (routed) policy.routed_cidrs = {service_cidr()};
  policy.node_name = this_node;
  return policy;
}

void read_list(Kind kind, const std::string& path, EventSink& sink) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) throw std::runtime_error("cannot read " + path);
  Ask ask;
  ask.verb = Ask::Verb::list;
  ReflectorState state;
  ListListener listener;
  AnswerReading reading(kind, ask, 16U << 20, sink, state, listener);
  std::array<char, 64U << 10> piece;
  for (;;) {
    const ssize_t size = ::read(file.get(), piece.data(), piece.size());
    if (size <= 0) break;
    if (!reading.receive({piece.data(), static_cast<std::size_t>(size)})) break;
  }
  ApiAnswer answer;
  answer.status = 200;
  (void)reading.finish(answer);
  if (!listener.complete) throw std::runtime_error(path + ": " + reading.problem());
}

void read_lists(const std::string& directory, EventSink& sink) {
  read_list(Kind::node, directory + "/nodes.json", sink);
  read_list(Kind::service, directory + "/services.json", sink);
  read_list(Kind::endpoint_slice, directory + "/endpointslices.json", sink);
}

std::vector<Failure> WatchedKernel::execute(std::span<const Operation> done) {
  const auto from = timed ? Clock::now() : Clock::time_point{};
  if (operations == 0) first = from;
  auto failed = inner_.execute(done);
  if (timed) {
    last = Clock::now();
    inside += seconds(last - from);
    const auto kind = done.front().target.index();  // each phase is about one channel
    const bool is_route = std::holds_alternative<LocalRoute>(done.front().target);
    by_channel.at(kind < 2 ? 0 : is_route ? 1 : kind - 1) += seconds(last - from);
  }
  operations += done.size();
  failures += failed.size();
  if (executed) executed(done);
  return failed;
}

std::vector<Notification> WatchedKernel::notifications() {
  if (!timed) return inner_.notifications();
  const auto from = Clock::now();
  auto heard = inner_.notifications();
  listening += seconds(Clock::now() - from);
  return heard;
}

void settle(Reconciler& reconciler, Kernel& kernel) {
  while (reconciler.step(std::chrono::steady_clock::now()))
    for (const auto& notification : kernel.notifications()) reconciler.notice(notification);
  for (const auto& notification : kernel.notifications()) reconciler.notice(notification);
  // What the loop passes on to others, and what it forgets.
  (void)reconciler.take_unsettled_flows();
  (void)reconciler.take_written();
  (void)reconciler.take_health_checks();
  (void)reconciler.take_notices();
  reconciler.forget_changes();
  const auto& failing = reconciler.retries().entries();
  if (!failing.empty())
    throw std::runtime_error(
        fmt::format("{} objects failed, first: {}", failing.size(), failing.begin()->second.error.message()));
}

}  // namespace ipvsd::bench
