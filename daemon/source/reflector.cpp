#include "daemon/source/reflector.hpp"

#include <fmt/format.h>
namespace ipvsd {
namespace {

using namespace std::chrono_literals;
using Verb = Ask::Verb;
using End = Outcome::End;

constexpr int page_size = 500;
constexpr std::size_t reported_limit = 1000;

std::string group_of(const std::string& path) {
  constexpr std::string_view prefix = "/apis/";
  if (path.rfind(prefix, 0) != 0) return "";
  return path.substr(prefix.size(), path.find('/', prefix.size()) - prefix.size());
}

std::string_view verb_of(const Ask& ask) { return ask.verb == Verb::list ? "list" : "watch"; }

// Normal life of a watch, or a turn that the server's age asks for.
bool is_expected(const Outcome& outcome) {
  const bool long_lived = outcome.frames > 0 || outcome.lasted >= 5s;
  return outcome.end == End::unmarked || (outcome.end == End::refused && outcome.status == 410) ||
         (outcome.end == End::broken && long_lived);
}

}  // namespace

Reflector::Reflector(WatchedResource resource, const ApiAccess& access, EventSink& sink, Warn warn,
                     ReflectorOptions options)
    : resource_(std::move(resource)),
      sink_(sink),
      warn_(std::move(warn)),
      options_(options),
      connection_(access, options.observe),
      state_(options.backoff),
      random_(options.seed) {
  status_.resource = resource_.name;
}

Reflector::~Reflector() { stop(); }

void Reflector::start() {
  const std::lock_guard lock(mutex_);
  thread_ = std::thread([this] { run(); });
  ended_ = false;  // not before there is a thread to end
}

void Reflector::begin_stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  connection_.stop();
}

void Reflector::stop() {
  begin_stop();
  std::unique_lock lock(mutex_);
  // Again and again, because a socket that is about to connect cannot be shut down yet.
  while (!changed_.wait_for(lock, 50ms, [this] { return ended_; })) connection_.stop();
  lock.unlock();
  if (thread_.joinable()) thread_.join();
}

WatchStatus Reflector::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Reflector::run() {
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  auto pause = 0ms;
  while (wait(pause)) {
    const Ask ask = state_.next();
    const Outcome outcome = perform(ask);
    pause = state_.ended(outcome, unit(random_));
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

std::string Reflector::target_of(const Ask& ask, std::chrono::seconds watch_time) const {
  std::string target = resource_.path + "?";
  if (!resource_.selector.empty()) target += resource_.selector + "&";
  switch (ask.verb) {
    case Verb::watch_list:
      return target + fmt::format(
                          "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
                          "allowWatchBookmarks=true&resourceVersion=&timeoutSeconds={}",
                          watch_time.count());
    case Verb::watch:
      return target + fmt::format("watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
                                  encode_query_value(ask.resource_version), watch_time.count());
    case Verb::list: break;
  }
  if (ask.paged) target += fmt::format("limit={}&", page_size);
  // The server refuses a version beside a continue token.
  if (!ask.continue_token.empty()) return target + "continue=" + encode_query_value(ask.continue_token);
  return target + "resourceVersion=" + encode_query_value(ask.resource_version);
}

Outcome Reflector::perform(const Ask& ask) try {
  // As client-go: spread, so that the watches of all nodes do not end together.
  const std::chrono::seconds watch_time(std::uniform_int_distribution<int>(300, 600)(random_));
  const auto silence = ask.verb == Verb::list         ? options_.list_silence
                       : ask.verb == Verb::watch_list ? options_.watch_list_silence
                                                      : watch_time + 30s;
  AnswerReading reading(resource_.kind, ask, options_.frame_limit, sink_, state_, *this, options_.object_limit);
  const auto answer = connection_.get(target_of(ask, watch_time), silence,
                                      [&reading](std::string_view piece) { return reading.receive(piece); });
  note_disconnected();
  Outcome outcome = reading.finish(answer);
  if (outcome.end != End::complete) failed(ask, outcome, reading, answer);
  return outcome;
} catch (const std::bad_alloc&) {
  // In between reading and delivering: what was seen is not known to have arrived.
  note_disconnected();
  tell(fmt::format("{} {}: {}", verb_of(ask), resource_.name, connection_.no_memory().message()));
  Outcome outcome;
  outcome.end = End::malformed;
  return outcome;
}

void Reflector::failed(const Ask& ask, const Outcome& outcome, AnswerReading& reading,
                       const Result<ApiAnswer>& answer) {
  if (!answer && answer.error().code == Errc::interrupted && reading.problem().empty()) return;  // stop()
  const std::string_view verb = verb_of(ask);
  std::string why =
      !reading.problem().empty() ? reading.problem()
      : !answer                  ? answer.error().message()
                : fmt::format("{}: {}", connection_.server(), reading.status_text(answer->body, answer->status));
  if (outcome.end == End::refused && outcome.status == 401)
    why += "; the server does not accept the bearer token or client certificate";
  if (outcome.end == End::refused && outcome.status == 403)
    why += fmt::format("; grant the verb \"{}\" on \"{}\" in API group \"{}\" to this account (ClusterRole)", verb,
                       resource_.name, group_of(resource_.path));
  const std::string message = fmt::format("{} {}: {}", verb, resource_.name, why);
  const bool fallback = ask.verb == Verb::watch_list && refuses_parameters(outcome);
  if (!fallback && !is_expected(outcome)) tell(message);
}

void Reflector::tell(const std::string& message) {
  {
    const std::lock_guard lock(mutex_);
    if (status_.last_error == message) return;
    status_.last_error = message;
  }
  warn_(message);
}

bool Reflector::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [this] { return stopping_; });
}

void Reflector::on_answered(Verb verb) {
  const std::lock_guard lock(mutex_);
  status_.connected = true;
  if (verb == Verb::list) return;
  ++status_.watches;
  // One that begins with the initial events has yet to deliver them.
  if (verb == Verb::watch) status_.last_error.clear();
}

void Reflector::on_delivered(std::size_t events) {
  const std::lock_guard lock(mutex_);
  status_.events += events;
}

void Reflector::on_list_complete() {
  const std::lock_guard lock(mutex_);
  ++status_.lists;
  status_.synced = true;
  status_.last_error.clear();
}

void Reflector::on_rejected(const std::string& problem) {
  {
    const std::lock_guard lock(mutex_);
    ++status_.rejected;
  }
  on_doubt(problem);
}

void Reflector::on_doubt(const std::string& problem) {
  if (reported_.size() >= reported_limit) reported_.clear();
  if (reported_.insert(problem).second) warn_(problem);
}

void Reflector::note_disconnected() {
  const std::lock_guard lock(mutex_);
  status_.connected = false;
}

}  // namespace ipvsd
