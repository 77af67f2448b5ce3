// Sends Events to the API server, on a thread of its own: whoever records one never waits.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "daemon/report/event_series.hpp"
#include "daemon/serve/metrics.hpp"
#include "daemon/source/api_connection.hpp"

namespace ipvsd {

class EventRecorder {
 public:
  using Warn = std::function<void(const std::string&)>;
  // `metrics` outlives it. `warn` is called on the recorder's thread, once for each new trouble.
  EventRecorder(ApiAccess access, const std::string& node_name, Metrics& metrics, Warn warn);
  ~EventRecorder();  // stops
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void start();
  // Any thread. With 256 waiting (no API server) it is dropped, and counted.
  void record(Event event);
  // Waits until everything recorded has been sent, refused or dropped: for a process that ends because of what it
  // recorded. False: not within `patience`.
  bool flush(std::chrono::milliseconds patience);
  // What is not sent is lost. Ends within a second, whatever the server does. Final.
  void stop();

 private:
  enum class Sent { done, refused, gone, later };

  void run();
  // False: stopping.
  bool wait(std::unique_lock<std::mutex>& lock, EventSeries::Instant until);
  [[nodiscard]] bool deliver(const EventRequest& request);
  [[nodiscard]] Sent send(const EventRequest& request);
  void complain(const std::string& trouble);

  const std::string instance_;
  Metrics& metrics_;
  const Warn warn_;
  ApiConnection connection_;
  EventSeries series_;   // the thread's own
  std::string trouble_;  // the last one told; the thread's own

  std::mutex mutex_;  // for the following
  std::condition_variable changed_;
  std::deque<Event> queue_;
  bool busy_ = false;
  bool stopping_ = false;
  bool ended_ = true;
  std::thread thread_;
};

}  // namespace ipvsd
