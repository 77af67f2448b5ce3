// Looks out for a proxy that starts beside us while we serve. SoleWriter keeps us waiting for one that was there
// before.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "model/result.hpp"

namespace ipvsd {

class ProxyWatch {
 public:
  // Who else lives here; empty: nobody. Called on the watch's own thread, and may take a second. After an error it is
  // as it was.
  using Find = std::function<Result<std::optional<std::string>>()>;
  // Called on that thread when the answer has changed; the first time only if there is somebody.
  using Report = std::function<void(const std::optional<std::string>&)>;
  // Called on that thread with an error, once until another or none.
  using Failed = std::function<void(const Error&)>;

  ProxyWatch(Find find, std::chrono::milliseconds period, Report report, Failed failed);
  ~ProxyWatch();
  ProxyWatch(const ProxyWatch&) = delete;
  ProxyWatch& operator=(const ProxyWatch&) = delete;

  // As of the last look. Any thread.
  [[nodiscard]] bool alone() const;

 private:
  void run();

  const Find find_;
  const std::chrono::milliseconds period_;
  const Report report_;
  const Failed failed_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> other_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ipvsd
