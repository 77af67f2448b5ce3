// What people see with `kubectl describe` and `kubectl get events`: Events of events.k8s.io/v1.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "model/objects.hpp"

namespace ipvsd {

// The object that an Event is about: a Service or the Node.
struct EventSubject {
  std::string kind;  // "Service", "Node"
  ObjectKey key;
  std::string uid;
  friend auto operator<=>(const EventSubject&, const EventSubject&) = default;
};
[[nodiscard]] EventSubject about_service(const ObjectKey& service, std::string uid);
// kube-proxy and the kubelet put the name in place of the Node's UID; `kubectl describe node` goes by it.
[[nodiscard]] EventSubject about_node(const std::string& name);

enum class EventType : std::uint8_t { normal, warning };

// Two that are equal are one Event that happened twice.
struct Event {
  EventSubject about;
  EventType type = EventType::warning;
  std::string reason;  // CamelCase, for programs: "FailedToStartServiceHealthcheck"
  std::string action;  // what was being done: "Listen"
  std::string note;    // for people; what is longer than 1 KiB is cut
  friend auto operator<=>(const Event&, const Event&) = default;
};

using WallTime = std::chrono::system_clock::time_point;

// The document to create. `reporter` is the controller's name, `instance` which of them. Pure.
[[nodiscard]] std::string event_json(const Event& event, const std::string& name, const std::string& reporter,
                                     const std::string& instance, WallTime at);
// The merge patch for one that has happened `count` times, at least 2.
[[nodiscard]] std::string series_json(std::uint32_t count, WallTime last);
// Unique for each `at` and `number`: "web.18a2f0c9d3e4b5a6".
[[nodiscard]] std::string event_name(const Event& event, WallTime at, std::uint32_t number);
// Where Events about it are kept; those about the Node in "default".
[[nodiscard]] std::string event_namespace(const Event& event);

}  // namespace ipvsd
