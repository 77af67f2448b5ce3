// What the tests of the API source share: a sink that can be waited on, and objects to serve.
#pragma once

#include <signal.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>

#include "daemon/source/api_source.hpp"
#include "test/fake/api_server.hpp"
#include "test/fake/raw_server.hpp"

namespace ipvsd::test {

using namespace std::chrono_literals;
using fake::ApiServer;
using fake::ApiServerOptions;
using fake::Json;
using fake::RawServer;

inline constexpr std::chrono::seconds deadline{20};

// As the daemon does at start.
inline const auto sigpipe_ignored = ::signal(SIGPIPE, SIG_IGN);

// "ReplaceBegin Service", "Upsert Service default/web", "Remove Node n1".
inline std::string to_text(const ClusterEvent& event) {
  struct Printer {
    std::string operator()(const Upsert& e) const {
      return of("Upsert", kind_of(e.object)) + " " + key_of(e.object).to_string();
    }
    std::string operator()(const Remove& e) const { return of("Remove", e.kind) + " " + e.key.to_string(); }
    std::string operator()(const Keep& e) const { return of("Keep", e.kind) + " " + e.key.to_string(); }
    std::string operator()(const ReplaceBegin& e) const { return of("ReplaceBegin", e.kind); }
    std::string operator()(const ReplaceEnd& e) const { return of("ReplaceEnd", e.kind); }
    static std::string of(const char* what, Kind kind) {
      return std::string(what) + " " + std::string(to_string(kind));
    }
  };
  return std::visit(Printer{}, event);
}

class Recorder final : public EventSink {
 public:
  void push(std::vector<ClusterEvent> events) override {
    const std::lock_guard lock(mutex_);
    largest_batch_ = std::max(largest_batch_, events.size());
    for (auto& event : events) {
      texts_.push_back(to_text(event));
      events_.push_back(std::move(event));
    }
    changed_.notify_all();
  }
  void warn(const std::string& text) {
    const std::lock_guard lock(mutex_);
    warnings_.push_back(text);
    changed_.notify_all();
  }
  [[nodiscard]] Warn warner() {
    return [this](const std::string& text) { warn(text); };
  }

  // The events so far, once there are `count`; fewer at the deadline.
  [[nodiscard]] std::vector<std::string> wait(std::size_t count) const {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, deadline, [&] { return texts_.size() >= count; });
    return texts_;
  }
  // Until `text` is the newest event.
  [[nodiscard]] bool wait_for(const std::string& text) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, deadline, [&] { return !texts_.empty() && texts_.back() == text; });
  }
  // The first warning that contains `part`; "" at the deadline.
  [[nodiscard]] std::string wait_for_warning(const std::string& part) const {
    std::unique_lock lock(mutex_);
    std::string found;
    changed_.wait_for(lock, deadline, [&] {
      for (const auto& warning : warnings_)
        if (found.empty() && warning.find(part) != std::string::npos) found = warning;
      return !found.empty();
    });
    return found;
  }
  [[nodiscard]] std::vector<std::string> warnings() const {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }
  [[nodiscard]] std::vector<ClusterEvent> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  [[nodiscard]] std::size_t largest_batch() const {
    const std::lock_guard lock(mutex_);
    return largest_batch_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<ClusterEvent> events_;
  std::vector<std::string> texts_;
  std::vector<std::string> warnings_;
  std::size_t largest_batch_ = 0;
};

inline Json service(const std::string& name, int port = 80) {
  return {{"kind", "Service"},
          {"apiVersion", "v1"},
          {"metadata", {{"name", name}, {"namespace", "default"}}},
          {"spec", {{"clusterIP", "10.96.0.9"}, {"ports", Json::array({{{"port", port}}})}}}};
}

inline Json node(const std::string& name) {
  return {{"kind", "Node"}, {"apiVersion", "v1"}, {"metadata", {{"name", name}}}};
}

inline Json slice(const std::string& name) {
  return {{"kind", "EndpointSlice"},
          {"apiVersion", "discovery.k8s.io/v1"},
          {"metadata", {{"name", name}, {"namespace", "default"}, {"labels", {{"kubernetes.io/service-name", "web"}}}}},
          {"addressType", "IPv4"},
          {"endpoints", Json::array({{{"addresses", Json::array({"10.244.1.1"})}}})},
          {"ports", Json::array({{{"port", 8080}}})}};
}

inline ReflectorOptions hasty() {
  ReflectorOptions options;
  options.backoff = {10ms, 50ms};
  options.seed = 1;
  return options;
}

inline fake::ObjectPath service_path(const std::string& name) {
  return {fake::resource_of_kind("Service"), "default", name, ""};
}

inline std::size_t count_requests(const ApiServer& server, const std::string& part) {
  std::size_t count = 0;
  for (const auto& entry : server.log())
    if ((entry.method + " " + entry.target).find(part) != std::string::npos) ++count;
  return count;
}

}  // namespace ipvsd::test
