// The watches of the API server stand-in.
#include <httplib.h>

#include <algorithm>

#include "test/fake/api_server.hpp"

namespace ipvsd::fake {
namespace {

using Clock = std::chrono::steady_clock;

// How soon an open watch sees that it is to be dropped.
constexpr std::chrono::milliseconds glance{50};

std::string line(const std::string& type, const Json& object) {
  return Json{{"type", type}, {"object", object}}.dump() + "\n";
}

Json cause(const std::string& reason, const std::string& message) {
  return {{"reason", reason}, {"message", message}, {"field", "resourceVersionMatch"}};
}

}  // namespace

struct ApiServer::Watch {
  const Resource* resource;
  std::string ns;
  Selector selector;
  std::uint64_t version = 0;
  std::string initial;  // lines to begin with
  bool ends_after_initial = false;
  bool bookmarks = false;
  Clock::time_point deadline;
  Clock::time_point next_bookmark;
  std::uint64_t generation = 0;
};

void ApiServer::drop_watches() {
  const std::lock_guard lock(mutex_);
  ++dropped_;
}

std::optional<Reply> ApiServer::refuse_initial_events(const httplib::Request& request) const {
  const std::string match = request.get_param_value("resourceVersionMatch");
  const std::string needs = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
  const std::string gate =
      "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
  std::string message;
  Json causes = Json::array();
  if (watch_list_ == WatchListMode::refuse) {
    message = "sendInitialEvents: " + gate;
    causes.push_back({{"reason", "FieldValueForbidden"}, {"message", gate}, {"field", "sendInitialEvents"}});
  } else if (match.empty()) {
    message = "resourceVersionMatch: " + needs;
    causes.push_back(cause("FieldValueForbidden", needs));
  } else if (match != "NotOlderThan") {
    const std::string unsupported = "Unsupported value: \"" + match + "\": supported values: \"NotOlderThan\"";
    message = "[resourceVersionMatch: " + needs + ", resourceVersionMatch: " + unsupported + "]";
    causes.push_back(cause("FieldValueForbidden", needs));
    causes.push_back(cause("FieldValueNotSupported", unsupported));
  } else {
    return std::nullopt;
  }
  return refuse(422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: " + message,
                {{"group", "meta.k8s.io"}, {"kind", "ListOptions"}, {"causes", causes}});
}

Reply ApiServer::start_watch(const ObjectPath& path, const httplib::Request& request, httplib::Response& response,
                             Selector selector) {
  auto watch = std::make_shared<Watch>();  // shared: std::function must be copyable
  watch->resource = path.resource;
  watch->ns = path.ns;
  watch->selector = std::move(selector);
  watch->bookmarks = request.get_param_value("allowWatchBookmarks") == "true";
  const std::string version = request.get_param_value("resourceVersion");
  bool initial_events = request.get_param_value("sendInitialEvents") == "true";
  {
    const std::lock_guard lock(mutex_);
    if (watch_list_ == WatchListMode::ignore) initial_events = false;
    if (initial_events)
      if (auto reply = refuse_initial_events(request)) return *reply;
    watch->generation = dropped_;
  }
  if (version.find_first_not_of("0123456789") != std::string::npos || version.size() > 18)
    return refuse(400, "BadRequest", "invalid resource version: " + version);
  if (initial_events || version.empty() || version == "0") {
    for (const auto& event : store_.state(*watch->resource, watch->ns, watch->selector, watch->version))
      watch->initial += line(event.type, event.object);
    if (initial_events) watch->initial += line("BOOKMARK", bookmark(*watch->resource, watch->version, true));
  } else {
    watch->version = std::stoull(version);
    if (const auto oldest = store_.gone(watch->version)) {
      watch->initial = line(
          "ERROR",
          status_body(410, "Expired", "too old resource version: " + version + " (" + std::to_string(*oldest) + ")"));
      watch->ends_after_initial = true;
    }
  }
  const int timeout =
      request.has_param("timeoutSeconds") ? std::atoi(request.get_param_value("timeoutSeconds").c_str()) : 1800;
  watch->deadline = Clock::now() + std::chrono::seconds(std::max(timeout, 1));
  watch->next_bookmark = Clock::now() + options_.bookmark_period;
  response.set_chunked_content_provider(
      "application/json", [this, watch](std::size_t, httplib::DataSink& sink) { return feed_watch(*watch, sink); });
  return {200, Json(), std::nullopt};
}

bool ApiServer::feed_watch(Watch& watch, httplib::DataSink& sink) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || watch.generation != dropped_) return false;
  }
  std::string text = std::exchange(watch.initial, "");
  if (text.empty()) {
    const auto until = std::min({Clock::now() + glance, watch.deadline, watch.next_bookmark});
    for (const auto& event : store_.changes(*watch.resource, watch.ns, watch.selector, watch.version, until))
      text += line(event.type, event.object);
    if (watch.bookmarks && Clock::now() >= watch.next_bookmark) {
      text += line("BOOKMARK", bookmark(*watch.resource, watch.version, false));
      watch.next_bookmark = Clock::now() + options_.bookmark_period;
    }
  }
  if (!text.empty() && !sink.write(text.data(), text.size())) return false;
  if (watch.ends_after_initial || Clock::now() >= watch.deadline) sink.done();
  return sink.is_writable();
}

}  // namespace ipvsd::fake
