#include "test/fake/api_events.hpp"

#include <algorithm>
#include <regex>

namespace ipvsd::fake {
namespace {

constexpr std::string_view root = "/apis/events.k8s.io/v1/namespaces/";

struct EventPath {
  std::string ns;
  std::string name;
};

EventPath split(const std::string& path) {
  const auto rest = path.substr(root.size());
  const auto slash = rest.find("/events");
  const auto name = rest.substr(std::min(slash + 7, rest.size()));
  return {rest.substr(0, slash), name.empty() ? "" : name.substr(1)};
}

std::string text(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

bool is_micro_time(const std::string& time) {
  static const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)");
  return std::regex_match(time, form);
}

// What is wrong with it; "" if nothing is.
std::string invalid_series(const Json& event) {
  if (!event.contains("series")) return "";
  const auto& series = event["series"];
  if (!series.contains("count") || !series["count"].is_number_integer() || series["count"].get<int>() < 2)
    return "series.count: Invalid value: should be at least 2";
  if (!is_micro_time(text(series, "lastObservedTime"))) return "series.lastObservedTime: Required value";
  return "";
}

std::string invalid(const Json& event, const std::string& ns) {
  static const std::regex name_form("[a-z0-9]([-a-z0-9.]*[a-z0-9])?");
  static const std::regex qualified("([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?");
  const auto about = event.value("regarding", Json::object());
  const auto name = text(event.value("metadata", Json::object()), "name");
  if (!std::regex_match(name, name_form) || name.size() > 253) return "metadata.name: Invalid value: \"" + name + "\"";
  if (!is_micro_time(text(event, "eventTime"))) return "eventTime: Required value";
  if (!std::regex_match(text(event, "reportingController"), qualified)) return "reportingController: Invalid value";
  for (const auto* field : {"reportingInstance", "action", "reason"})
    if (text(event, field).empty() || text(event, field).size() > 128) return std::string(field) + ": Invalid value";
  if (text(event, "note").size() > 1024) return "note: Invalid value: can have at most 1024 bytes";
  if (text(event, "type") != "Normal" && text(event, "type") != "Warning") return "type: Invalid value";
  if (text(about, "kind").empty() || text(about, "name").empty()) return "regarding: Required value";
  const auto subject_ns = text(about, "namespace");
  if (subject_ns.empty() ? ns != "default" && ns != "kube-system" : subject_ns != ns)
    return "involvedObject.namespace: Invalid value: does not match event.namespace";
  return invalid_series(event);
}

}  // namespace

bool ApiEvents::serves(const std::string& path) {
  return path.rfind(root, 0) == 0 && path.find("/events", root.size()) != std::string::npos;
}

Reply ApiEvents::create(const std::string& path, Json event) {
  const auto [ns, name] = split(path);
  if (!name.empty()) return refuse(405, "MethodNotAllowed", "an Event is created in its collection");
  if (const auto why = invalid(event, ns); !why.empty()) return refuse(422, "Invalid", "Event is invalid: " + why);
  if (text(event["metadata"], "namespace") != ns)
    return refuse(400, "BadRequest", "the namespace of the provided object does not match the request");
  const std::lock_guard lock(mutex_);
  for (const auto& known : events_)
    if (known["metadata"]["name"] == event["metadata"]["name"] && known["metadata"]["namespace"] == ns)
      return refuse(409, "AlreadyExists", "events \"" + text(event["metadata"], "name") + "\" already exists");
  events_.push_back(event);
  return {201, std::move(event), std::nullopt};
}

Reply ApiEvents::patch(const std::string& path, const Json& patch) {
  const auto [ns, name] = split(path);
  const std::lock_guard lock(mutex_);
  for (auto& event : events_) {
    if (event["metadata"]["name"] != name || event["metadata"]["namespace"] != ns) continue;
    Json changed = event;
    changed.merge_patch(patch);
    if (const auto why = invalid(changed, ns); !why.empty()) return refuse(422, "Invalid", "Event is invalid: " + why);
    event = changed;
    return {200, std::move(changed), std::nullopt};
  }
  return refuse(404, "NotFound", "events \"" + name + "\" not found");
}

std::vector<Json> ApiEvents::all() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

void ApiEvents::clear() {
  const std::lock_guard lock(mutex_);
  events_.clear();
}

}  // namespace ipvsd::fake
