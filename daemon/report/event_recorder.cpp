#include "daemon/report/event_recorder.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ipvsd {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* reporter = "kube-ipvsd";
constexpr std::size_t queue_limit = 256;
constexpr int attempts = 8;
constexpr std::chrono::seconds longest_pause{30};
constexpr std::chrono::seconds silence{10};

std::string path_of(const EventRequest& request) {
  return fmt::format("/apis/events.k8s.io/v1/namespaces/{}/events", encode_query_value(request.ns));
}

}  // namespace

EventRecorder::EventRecorder(ApiAccess access, const std::string& node_name, Metrics& metrics, Warn warn)
    : instance_(fmt::format("{}-{}", reporter, node_name)),
      metrics_(metrics),
      warn_(std::move(warn)),
      connection_(std::move(access), [this](const ApiRequest& request) {
        metrics_.api_request(request.host, request.method, request.status, request.until_answer);
      }) {}

EventRecorder::~EventRecorder() { stop(); }

void EventRecorder::start() {
  const std::lock_guard lock(mutex_);
  thread_ = std::thread([this] { run(); });
  ended_ = false;
}

void EventRecorder::record(Event event) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() < queue_limit) {
      queue_.push_back(std::move(event));
      changed_.notify_all();
      return;
    }
  }
  metrics_.event(Metrics::EventResult::dropped);
}

bool EventRecorder::flush(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return ended_ || (queue_.empty() && !busy_); });
}

void EventRecorder::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  lock.unlock();
  connection_.stop();
  lock.lock();
  // Again and again, because a socket that is about to connect cannot be shut down yet.
  while (!changed_.wait_for(lock, 50ms, [this] { return ended_; })) connection_.stop();
  lock.unlock();
  if (thread_.joinable()) thread_.join();
}

bool EventRecorder::wait(std::unique_lock<std::mutex>& lock, EventSeries::Instant until) {
  changed_.wait_until(lock, until, [this] { return stopping_ || !queue_.empty(); });
  return !stopping_;
}

void EventRecorder::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto due = series_.next_due(Clock::now());
    busy_ = due && *due <= Clock::now();
    changed_.notify_all();
    if (!wait(lock, due.value_or(Clock::now() + 1h))) break;
    std::deque<Event> events;
    events.swap(queue_);
    busy_ = true;
    lock.unlock();
    for (const auto& event : events)
      if (!series_.observe(event, Clock::now(), std::chrono::system_clock::now()))
        metrics_.event(Metrics::EventResult::dropped);
    bool going_on = true;
    while (going_on)
      if (const auto request = series_.take(Clock::now()))
        going_on = deliver(*request);
      else
        break;
    lock.lock();
    if (stopping_) break;
  }
  ended_ = true;
  changed_.notify_all();
}

// False: stopping.
bool EventRecorder::deliver(const EventRequest& request) {
  std::chrono::seconds pause{1};
  for (int attempt = 0; attempt < attempts; ++attempt) {
    switch (send(request)) {
      case Sent::done: metrics_.event(Metrics::EventResult::sent); return true;
      case Sent::refused: metrics_.event(Metrics::EventResult::refused); return true;
      case Sent::gone: series_.forget(request.event); return true;
      case Sent::later: break;
    }
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return false;
    pause = std::min(2 * pause, longest_pause);
  }
  metrics_.event(Metrics::EventResult::dropped);
  return true;
}

EventRecorder::Sent EventRecorder::send(const EventRequest& request) {
  const bool create = request.count == 1;
  const auto target = create ? path_of(request) : path_of(request) + "/" + encode_query_value(request.name);
  const auto answer =
      create ? connection_.post(target, event_json(request.event, request.name, reporter, instance_, request.first),
                                silence)
             : connection_.patch(target, series_json(request.count, request.last), silence);
  const auto what = fmt::format("Event {} about {} {}", request.event.reason, request.event.about.kind,
                                request.event.about.key.to_string());
  if (!answer) {
    complain(fmt::format("{}: {}", what, answer.error().message()));
    return Sent::later;
  }
  const int status = answer->status;
  if (status >= 200 && status < 300) {
    trouble_.clear();
    return Sent::done;
  }
  if (status == 404 && !create) return Sent::gone;
  // An attempt whose answer was lost has made it.
  if (status == 409 && create) return Sent::done;
  const char* advice = status == 403 ? "; grant the verbs \"create\" and \"patch\" on \"events\" in API group "
                                       "\"events.k8s.io\" to this account (ClusterRole)"
                                     : "";
  complain(fmt::format("{}: {} answered {}{}", what, connection_.server(), status, advice));
  return status == 429 || status >= 500 || status == 401 ? Sent::later : Sent::refused;
}

void EventRecorder::complain(const std::string& trouble) {
  // By its kind, not by the Event: without an API server each of them would be told.
  const auto kind = trouble.substr(trouble.find(": "));
  if (std::exchange(trouble_, kind) != kind) warn_(trouble);
}

}  // namespace ipvsd
