#include "test/fake/api_store.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "test/fake/base64.hpp"

namespace ipvsd::fake {
namespace {

// A continue token. The real one is the same JSON in unpadded base64url.
struct Position {
  std::int64_t version = 0;  // -1: whatever is current
  std::string start;         // "namespace/name" of the last object handed out, and a NUL
};

std::string encode(const Position& position) {
  return base64url_encode(Json{{"v", "meta.k8s.io/v1"}, {"rv", position.version}, {"start", position.start}}.dump());
}

std::optional<Position> decode(const std::string& token) {
  const auto json = Json::parse(base64url_decode(token), nullptr, false);
  if (!json.is_object() || !json.contains("rv") || !json.contains("start")) return std::nullopt;
  if (!json["rv"].is_number_integer() || !json["start"].is_string()) return std::nullopt;
  return Position{json["rv"], json["start"]};
}

std::optional<std::uint64_t> number(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos || text.size() > 18)
    return std::nullopt;
  return std::stoull(text);
}

std::string path_key(const std::pair<std::string, std::string>& key) { return key.first + "/" + key.second; }

bool in_scope(const Json& object, const std::string& ns, const Selector& selector) {
  return !object.is_null() && (ns.empty() || object["metadata"].value("namespace", "") == ns) &&
         selector.matches(object);
}

Reply expired_token(const Position& position) {
  auto reply = refuse(410, "Expired",
                      "The provided continue parameter is too old to display a consistent list result. You can start a "
                      "new list without the continue parameter, or use the continue token in this response to retrieve "
                      "the remainder of the results. Continuing with the provided token results in an inconsistent "
                      "list - objects that were created, modified, or deleted between the time the first chunk was "
                      "returned and now may show up in the list.");
  reply.body["metadata"]["continue"] = encode({-1, position.start});
  return reply;
}

Reply too_large(std::uint64_t wanted, std::uint64_t current) {
  auto reply = refuse(
      504, "Timeout", fmt::format("Timeout: Too large resource version: {}, current: {}", wanted, current),
      {{"causes", Json::array({{{"reason", "ResourceVersionTooLarge"}, {"message", "Too large resource version"}}})},
       {"retryAfterSeconds", 1}});
  reply.retry_after = 1;
  return reply;
}

// Metadata in the real server's order: identity first.
Json with_metadata(const Json& given, const std::string& ns, std::uint32_t counter, bool generation) {
  Json metadata{{"name", given.value("name", "")}};
  if (!ns.empty()) metadata["namespace"] = ns;
  metadata["uid"] = fmt::format("00000000-0000-4000-8000-{:012x}", counter);
  metadata["resourceVersion"] = "";
  if (generation) metadata["generation"] = 1;
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  metadata["creationTimestamp"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
  for (const auto& [field, value] : given.items())
    if (!metadata.contains(field)) metadata[field] = value;
  return metadata;
}

}  // namespace

Reply ApiStore::not_found(const ObjectPath& path) {
  Json details{{"name", path.name}};
  if (!path.resource->group.empty()) details["group"] = path.resource->group;
  details["kind"] = path.resource->plural;
  const std::string resource = path.resource->plural + (path.resource->group.empty() ? "" : "." + path.resource->group);
  return refuse(404, "NotFound", fmt::format("{} \"{}\" not found", resource, path.name), details);
}

Reply ApiStore::put(const ObjectPath& path, Json object, std::size_t status) {
  const auto key = std::pair(path.ns, path.name);
  auto& objects = objects_[path.resource->plural];
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  const auto found = objects.find(key);
  history_.push_back({version_, path.resource, found == objects.end() ? Json() : found->second, object});
  objects[key] = object;
  changed_.notify_all();
  return {static_cast<int>(status), std::move(object), std::nullopt};
}

Reply ApiStore::create(const ObjectPath& given, Json object) {
  const std::lock_guard lock(mutex_);
  const Resource& resource = *given.resource;
  if (!object.is_object() || !object.contains("metadata") || object["metadata"].value("name", "").empty())
    return refuse(422, "Invalid",
                  fmt::format("{} \"\" is invalid: metadata.name: Required value: name or generateName "
                              "is required",
                              resource.kind));
  ObjectPath path = given;
  path.name = object["metadata"]["name"];
  if (resource.namespaced && path.ns.empty()) path.ns = object["metadata"].value("namespace", "default");
  if (objects_[resource.plural].count({path.ns, path.name}) != 0)
    return refuse(409, "AlreadyExists", fmt::format("{} \"{}\" already exists", resource.plural, path.name),
                  {{"name", path.name}, {"kind", resource.plural}});
  Json whole{{"kind", resource.kind}, {"apiVersion", resource.api_version}};
  whole["metadata"] = with_metadata(object["metadata"], path.ns, ++created_, resource.kind == "EndpointSlice");
  for (const auto& [field, value] : object.items())
    if (!whole.contains(field)) whole[field] = value;
  set_defaults(resource, whole, created_);
  return put(path, std::move(whole), 201);
}

Reply ApiStore::update(const ObjectPath& path, Json object) {
  const auto& objects = objects_[path.resource->plural];
  const auto found = objects.find({path.ns, path.name});
  if (found == objects.end()) return not_found(path);
  const Json& current = found->second;
  if (!object.is_object() || !object.contains("metadata"))
    return refuse(400, "BadRequest",
                  "the object provided is unrecognized (must be of type " + path.resource->kind + ")");
  const std::string version = object["metadata"].value("resourceVersion", "");
  if (!version.empty() && version != current["metadata"]["resourceVersion"])
    return refuse(409, "Conflict",
                  fmt::format("Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply "
                              "your changes to the latest version and try again",
                              path.resource->plural, path.name),
                  {{"name", path.name}, {"kind", path.resource->plural}});
  Json whole = current;
  if (path.subresource == "status") {
    whole["status"] = object.value("status", Json::object());
  } else {
    for (const auto& [field, value] : current.items())
      if (field != "status" && field != "kind" && field != "apiVersion" && !object.contains(field)) whole.erase(field);
    for (const auto& [field, value] : object.items())
      if (field != "status" && field != "metadata" && field != "kind" && field != "apiVersion") whole[field] = value;
    Json metadata = object["metadata"];
    for (const auto* kept : {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"}) {
      metadata.erase(kept);
      if (current["metadata"].contains(kept)) metadata[kept] = current["metadata"][kept];
    }
    whole["metadata"] = std::move(metadata);
  }
  set_defaults(*path.resource, whole, created_);
  // Without regard to the order of fields, in which this type compares.
  if (nlohmann::json(whole) == nlohmann::json(current)) return {200, current, std::nullopt};
  return put(path, std::move(whole), 200);
}

Reply ApiStore::replace(const ObjectPath& path, Json object) {
  const std::lock_guard lock(mutex_);
  return update(path, std::move(object));
}

Reply ApiStore::merge(const ObjectPath& path, const Json& patch) {
  const std::lock_guard lock(mutex_);
  const auto& objects = objects_[path.resource->plural];
  const auto found = objects.find({path.ns, path.name});
  if (found == objects.end()) return not_found(path);
  Json object = found->second;
  object.merge_patch(patch);
  return update(path, std::move(object));
}

Reply ApiStore::remove(const ObjectPath& path) {
  const std::lock_guard lock(mutex_);
  auto& objects = objects_[path.resource->plural];
  const auto found = objects.find({path.ns, path.name});
  if (found == objects.end()) return not_found(path);
  history_.push_back({++version_, path.resource, found->second, Json()});
  objects.erase(found);
  changed_.notify_all();
  return {200,
          {{"kind", "Status"},
           {"apiVersion", "v1"},
           {"metadata", Json::object()},
           {"status", "Success"},
           {"details", {{"name", path.name}, {"kind", path.resource->plural}}}},
          std::nullopt};
}

Reply ApiStore::get(const ObjectPath& path) const {
  const std::lock_guard lock(mutex_);
  const auto objects = objects_.find(path.resource->plural);
  if (objects == objects_.end()) return not_found(path);
  const auto found = objects->second.find({path.ns, path.name});
  return found == objects->second.end() ? not_found(path) : Reply{200, found->second, std::nullopt};
}

ApiStore::Objects ApiStore::objects_at(const Resource& resource, std::uint64_t version) const {
  const auto current = objects_.find(resource.plural);
  Objects objects = current == objects_.end() ? Objects{} : current->second;
  for (auto change = history_.rbegin(); change != history_.rend() && change->version > version; ++change) {
    if (change->resource != &resource) continue;
    const Json& any = change->before.is_null() ? change->after : change->before;
    const auto key = std::pair(any["metadata"].value("namespace", ""), any["metadata"].value("name", ""));
    if (change->before.is_null())
      objects.erase(key);
    else
      objects[key] = change->before;
  }
  return objects;
}

Reply ApiStore::list(const Resource& resource, const ListQuery& query) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t version = version_;
  std::string start;
  if (!query.continue_token.empty()) {
    const auto position = decode(query.continue_token);
    if (!position) return refuse(400, "BadRequest", "continue key is not valid");
    if (!query.resource_version.empty())
      return refuse(400, "BadRequest", "specifying resource version is not allowed when using continue");
    if (position->version >= 0 && static_cast<std::uint64_t>(position->version) < compacted_)
      return expired_token(*position);
    if (position->version >= 0) version = static_cast<std::uint64_t>(position->version);
    start = position->start;
  } else if (!query.resource_version.empty()) {
    const auto wanted = number(query.resource_version);
    if (!wanted) return refuse(400, "BadRequest", "invalid resource version: " + query.resource_version);
    if (*wanted > version_) return too_large(*wanted, version_);
    if (query.version_match == "Exact") {
      if (*wanted < compacted_) return refuse(410, "Expired", "The resourceVersion for the provided list is too old.");
      version = *wanted;
    }
  }
  Json items = Json::array();
  std::size_t remaining = 0;
  std::string last;
  for (auto& [key, object] : objects_at(resource, version)) {
    if (path_key(key) + '\0' <= start || !in_scope(object, query.ns, query.selector)) continue;
    if (query.limit > 0 && items.size() >= query.limit) {
      ++remaining;
      continue;
    }
    last = path_key(key) + '\0';
    Json item = object;
    item.erase("kind");
    item.erase("apiVersion");
    items.push_back(std::move(item));
  }
  Json body{{"kind", resource.kind + "List"}, {"apiVersion", resource.api_version}};
  body["metadata"] = {{"resourceVersion", std::to_string(version)}};
  if (remaining > 0) {
    body["metadata"]["continue"] = encode({static_cast<std::int64_t>(version), last});
    if (query.selector.selects_all()) body["metadata"]["remainingItemCount"] = remaining;
  }
  body["items"] = std::move(items);
  return {200, std::move(body), std::nullopt};
}

std::vector<WatchEvent> ApiStore::changes(const Resource& resource, const std::string& ns, const Selector& selector,
                                          std::uint64_t& version, std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  std::vector<WatchEvent> found;
  while (true) {
    auto change = std::upper_bound(history_.begin(), history_.end(), version,
                                   [](std::uint64_t wanted, const Change& c) { return wanted < c.version; });
    for (; change != history_.end(); ++change) {
      version = change->version;
      if (change->resource != &resource) continue;
      const bool before = in_scope(change->before, ns, selector);
      const bool after = in_scope(change->after, ns, selector);
      if (!before && !after) continue;
      Json object = after ? change->after : change->before;
      object["metadata"]["resourceVersion"] = std::to_string(version);
      found.push_back({!after ? "DELETED" : before ? "MODIFIED" : "ADDED", std::move(object), version});
    }
    version = std::max(version, version_);
    if (!found.empty() || std::chrono::steady_clock::now() >= deadline) return found;
    changed_.wait_until(lock, deadline);
  }
}

std::vector<WatchEvent> ApiStore::state(const Resource& resource, const std::string& ns, const Selector& selector,
                                        std::uint64_t& version) const {
  const std::lock_guard lock(mutex_);
  version = version_;
  std::vector<WatchEvent> events;
  const auto objects = objects_.find(resource.plural);
  if (objects == objects_.end()) return events;
  for (const auto& [key, object] : objects->second)
    if (in_scope(object, ns, selector)) events.push_back({"ADDED", object, version});
  return events;
}

void ApiStore::compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = ++version_;
}

std::optional<std::uint64_t> ApiStore::gone(std::uint64_t version) const {
  const std::lock_guard lock(mutex_);
  return version < compacted_ ? std::optional(compacted_) : std::nullopt;
}

std::uint64_t ApiStore::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

}  // namespace ipvsd::fake
