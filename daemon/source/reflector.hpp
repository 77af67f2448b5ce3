// Mirrors one resource of the API server into an EventSink, from a thread of its own: list, watch, and all
// that can go wrong between. The rules are in reflector_state.hpp; here is the I/O.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_set>

#include "daemon/source/api_connection.hpp"
#include "daemon/source/reflector_reading.hpp"
#include "daemon/source/reflector_state.hpp"
#include "daemon/source/source.hpp"

namespace ipvsd {

// For what an operator must see, one line each; called from the reflectors' threads.
using Warn = std::function<void(const std::string&)>;

struct WatchedResource {
  Kind kind = Kind::service;
  std::string name;      // "services": in messages and in WatchStatus
  std::string path;      // "/api/v1/services"
  std::string selector;  // encoded query parameter, "labelSelector=...", or ""
};

struct ReflectorOptions {
  Backoff backoff;
  // One frame of a watch or item of a list may have this many bytes. (etcd takes 1.5 MiB at most.)
  std::size_t frame_limit = 16U << 20;
  // A list may have this many objects.
  std::size_t object_limit = default_object_limit;
  std::chrono::seconds list_silence{60};
  // Until the initial events of a watch_list are complete; a server older than 1.27 ignores the wish for
  // them, and then sends a bookmark, about a minute later, or nothing.
  std::chrono::seconds watch_list_silence{75};
  std::uint64_t seed = std::random_device{}();
  ApiObserver observe{};  // see ApiConnection
};

class Reflector : private ReadingObserver {
 public:
  // `sink` must outlive this. A sink that blocks must let go by itself when its owner calls stop().
  Reflector(WatchedResource resource, const ApiAccess& access, EventSink& sink, Warn warn,
            ReflectorOptions options = {});
  ~Reflector() override;

  void start();
  // Asks the thread to end, and waits for it. Two steps, so that several reflectors end at the same time.
  void begin_stop();
  void stop();
  [[nodiscard]] WatchStatus status() const;

 private:
  void run();
  [[nodiscard]] Outcome perform(const Ask& ask);
  [[nodiscard]] std::string target_of(const Ask& ask, std::chrono::seconds watch_time) const;
  // False: stopped.
  [[nodiscard]] bool wait(std::chrono::milliseconds time);
  void failed(const Ask& ask, const Outcome& outcome, AnswerReading& reading, const Result<ApiAnswer>& answer);
  // Once, until it has gone well or something else has failed.
  void tell(const std::string& message);
  void note_disconnected();

  void on_answered(Ask::Verb verb) override;
  void on_delivered(std::size_t objects) override;
  void on_list_complete() override;
  void on_rejected(const std::string& problem) override;
  void on_doubt(const std::string& problem) override;

  const WatchedResource resource_;
  EventSink& sink_;
  const Warn warn_;
  const ReflectorOptions options_;
  ApiConnection connection_;

  // The thread's own.
  ReflectorState state_;
  std::mt19937_64 random_;
  std::unordered_set<std::string> reported_;  // about objects, so that each fault is told once

  mutable std::mutex mutex_;  // for the following
  std::condition_variable changed_;
  bool stopping_ = false;
  bool ended_ = true;  // no thread, or it is past its last event
  WatchStatus status_;

  std::thread thread_;
};

}  // namespace ipvsd
