#include "bench/running_loop.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <stdexcept>

#include "bench/meter.hpp"
#include "daemon/source/reflector_reading.hpp"

namespace ipvsd::bench {
namespace {

class Nobody final : public ReadingObserver {
 public:
  void on_answered(Ask::Verb) override {}
  void on_delivered(std::size_t) override {}
  void on_list_complete() override {}
  void on_rejected(const std::string&) override {}
  void on_doubt(const std::string&) override {}
};

}  // namespace

RunningLoop::RunningLoop(Reconciler& reconciler, Kernel& kernel, std::chrono::seconds audit_period,
                         std::function<void(const LoopView&)> turned)
    : health_(Moment::now()),
      metrics_("bench"),
      end_(::eventfd(0, EFD_CLOEXEC)),
      loop_({.reconciler = reconciler,
             .kernel = kernel,
             .inbox = inbox_,
             .health = health_,
             .metrics = metrics_,
             .signal_fd = end_.get(),
             .rules_in_place = [] { return true; },
             .node_changed = [](const Node*) {},
             .watches = [] { return std::vector<WatchStatus>{}; },
             .answer =
                 [this, turned = std::move(turned)](const LoopView& view) {
                   turned(view);
                   turned_since(view.now.steady);
                   return false;
                 }},
            {.once = false, .audit_period = audit_period}) {
  for (std::size_t kind = 0; kind < sockets_.size(); ++kind) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) throw std::runtime_error("socketpair");
    sockets_[kind][0] = Fd(pair[0]);
    sockets_[kind][1] = Fd(pair[1]);
    readers_[kind] = std::thread([this, kind] { read(kind); });
  }
  runner_ = std::thread([this] { (void)loop_.run(); });
}

RunningLoop::~RunningLoop() {
  for (auto& pair : sockets_) ::shutdown(pair[0].get(), SHUT_RDWR);
  for (auto& reader : readers_) reader.join();
  (void)::eventfd_write(end_.get(), 1);
  runner_.join();
}

void RunningLoop::read(std::size_t kind) {
  Ask ask;
  ask.verb = Ask::Verb::watch;
  ReflectorState state;
  Nobody nobody;
  AnswerReading reading(static_cast<Kind>(kind), ask, 16U << 20, inbox_, state, nobody);
  std::vector<char> piece(16U << 10);
  for (;;) {
    const ssize_t size = ::recv(sockets_[kind][1].get(), piece.data(), piece.size(), 0);
    if (size <= 0) return;
    const auto begin = std::chrono::steady_clock::now();
    {
      const std::lock_guard lock(mutex_);
      reading_since_ = begin;
    }
    const bool more = reading.receive({piece.data(), static_cast<std::size_t>(size)});
    was_awake_since(begin);
    if (!more) return;
  }
}

// The loop's turn is mostly within the reader's time, which is counted when the reader goes to sleep.
void RunningLoop::turned_since(std::chrono::steady_clock::time_point begin) {
  const std::lock_guard lock(mutex_);
  if (reading_since_)
    reading_since_ = std::min(*reading_since_, begin);
  else
    count_since(begin);
}

void RunningLoop::was_awake_since(std::chrono::steady_clock::time_point begin) {
  const std::lock_guard lock(mutex_);
  count_since(begin);
}

void RunningLoop::count_since(std::chrono::steady_clock::time_point begin) {
  const auto now = std::chrono::steady_clock::now();
  if (reading_since_) begin = std::min(begin, *std::exchange(reading_since_, std::nullopt));
  busy_ += now - std::max(begin, counted_until_);
  counted_until_ = now;
}

double RunningLoop::busy() {
  const std::lock_guard lock(mutex_);
  return seconds(busy_);
}

void RunningLoop::write(Kind kind, std::string_view frames) {
  const int socket = sockets_[static_cast<std::size_t>(kind)][0].get();
  if (::send(socket, frames.data(), frames.size(), 0) != static_cast<ssize_t>(frames.size()))
    throw std::runtime_error("the reader has ended");
}

double RunningLoop::cpu() {
  double sum = thread_cpu(runner_.native_handle());
  for (auto& reader : readers_) sum += thread_cpu(reader.native_handle());
  return sum;
}

}  // namespace ipvsd::bench
