#include "daemon/report/event.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "daemon/config/fields.hpp"

namespace ipvsd {
namespace {

// ValidateEvent in the API server's pkg/apis/core/validation.
constexpr std::size_t note_limit = 1024;
constexpr std::size_t name_limit = 253;

// Not within a character of UTF-8.
std::string cut(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
  text.resize(limit);
  return text;
}

std::string micro_time(WallTime at) {
  using namespace std::chrono;
  const auto second = floor<seconds>(at);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(system_clock::to_time_t(second)),
                     duration_cast<microseconds>(at - second).count());
}

}  // namespace

EventSubject about_service(const ObjectKey& service, std::string uid) { return {"Service", service, std::move(uid)}; }
EventSubject about_node(const std::string& name) { return {"Node", {"", name}, name}; }

std::string event_namespace(const Event& event) { return event.about.key.ns.empty() ? "default" : event.about.key.ns; }

std::string event_name(const Event& event, WallTime at, std::uint32_t number) {
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
  const auto suffix = fmt::format(".{:x}", time + number);
  return cut(event.about.key.name, name_limit - suffix.size()) + suffix;
}

std::string event_json(const Event& event, const std::string& name, const std::string& reporter,
                       const std::string& instance, WallTime at) {
  const auto& about = event.about;
  const std::string ns = about.key.ns.empty() ? "" : fmt::format(R"("namespace":{},)", json_text(about.key.ns));
  return fmt::format(
      R"({{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{{"name":{},"namespace":{}}},"eventTime":"{}",)"
      R"("reportingController":{},"reportingInstance":{},"type":"{}","reason":{},"action":{},"note":{},)"
      R"("regarding":{{"apiVersion":"v1","kind":{},{}"name":{},"uid":{}}}}})",
      json_text(name), json_text(event_namespace(event)), micro_time(at), json_text(reporter),
      json_text(cut(instance, 128)), event.type == EventType::normal ? "Normal" : "Warning", json_text(event.reason),
      json_text(event.action), json_text(cut(event.note, note_limit)), json_text(about.kind), ns,
      json_text(about.key.name), json_text(about.uid));
}

std::string series_json(std::uint32_t count, WallTime last) {
  return fmt::format(R"({{"series":{{"count":{},"lastObservedTime":"{}"}}}})", count, micro_time(last));
}

}  // namespace ipvsd
