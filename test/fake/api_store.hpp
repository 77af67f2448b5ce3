// What etcd is to a real API server: objects with versions, the history of their changes, and its compaction.
// All calls from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "test/fake/api_objects.hpp"
#include "test/fake/selector.hpp"

namespace ipvsd::fake {

// The parameters of a LIST, as in the query.
struct ListQuery {
  std::string ns;
  Selector selector;
  std::size_t limit = 0;  // 0: no limit
  std::string continue_token;
  std::string resource_version;
  std::string version_match;  // "", "NotOlderThan", "Exact"
};

struct WatchEvent {
  std::string type;
  Json object;
  std::uint64_t version = 0;
};

class ApiStore {
 public:
  // Nothing older than `first_version` is known.
  explicit ApiStore(std::uint64_t first_version = 1000) : version_(first_version), compacted_(first_version) {}

  // The object gets its namespace from the path, and uid, creationTimestamp and resourceVersion.
  Reply create(const ObjectPath& path, Json object);
  // With `path.subresource` status, only the status is taken. A resourceVersion in the object must be the
  // current one (409). A replacement that changes nothing leaves the version as it is.
  Reply replace(const ObjectPath& path, Json object);
  Reply merge(const ObjectPath& path, const Json& patch);  // RFC 7386
  Reply remove(const ObjectPath& path);
  [[nodiscard]] Reply get(const ObjectPath& path) const;
  [[nodiscard]] Reply list(const Resource& resource, const ListQuery& query) const;

  // Events after `version` that the selector lets through, in order; waits for one until `deadline`.
  // `version` is moved to the version at which these are all.
  std::vector<WatchEvent> changes(const Resource& resource, const std::string& ns, const Selector& selector,
                                  std::uint64_t& version, std::chrono::steady_clock::time_point deadline);
  // All objects as ADDED events, and the version at which this is the state.
  std::vector<WatchEvent> state(const Resource& resource, const std::string& ns, const Selector& selector,
                                std::uint64_t& version) const;

  // Older versions and the continue tokens made at them are gone from now on; open watches go on.
  void compact();
  // The oldest version there is, if `version` is gone.
  [[nodiscard]] std::optional<std::uint64_t> gone(std::uint64_t version) const;
  [[nodiscard]] std::uint64_t version() const;

 private:
  using Objects = std::map<std::pair<std::string, std::string>, Json>;  // by namespace and name
  struct Change {
    std::uint64_t version;
    const Resource* resource;
    Json before;  // null: created
    Json after;   // null: deleted
  };

  [[nodiscard]] Objects objects_at(const Resource& resource, std::uint64_t version) const;
  Reply put(const ObjectPath& path, Json object, std::size_t status);
  Reply update(const ObjectPath& path, Json object);
  [[nodiscard]] static Reply not_found(const ObjectPath& path);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Objects> objects_;  // by plural
  std::vector<Change> history_;
  std::uint64_t version_;
  std::uint64_t compacted_;  // versions below are gone
  std::uint32_t created_ = 0;
};

}  // namespace ipvsd::fake
