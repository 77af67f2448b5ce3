// kube-ipvsctl watch: changes of the kernel as they happen. Addresses are told by rtnetlink at once; IPVS and sets have
// no notifications, so that they are read again and again and compared. Pure: states -> changes -> lines.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ctl/names.hpp"
#include "ctl/observation.hpp"
#include "ctl/output.hpp"

namespace ipvsd::ctl {

enum class ChangeSign : std::uint8_t { added, removed, changed };

struct Change {
  ChangeSign sign = ChangeSign::added;
  std::string kind;     // "address", "link", "virtual server", "destination", "set", "set entry"
  std::string object;   // "10.96.0.1:80/TCP", "KUBE-CLUSTER-IP 10.96.0.1,tcp:80"
  std::string details;  // "rr", "weight 1 -> 0"
  std::string name;     // of the Service port, or pod; "" if unknown
  friend bool operator==(const Change&, const Change&) = default;
};

// What is compared: the counters of the kernel are no changes.
using WatchedServers = std::map<VirtualServerKey, VirtualServer>;
using WatchedDestinations = std::map<DestinationKey, Destination>;
[[nodiscard]] WatchedServers watched(const ServerRecords& records);
[[nodiscard]] WatchedDestinations watched(const ObservedServer& server);

[[nodiscard]] std::vector<Change> changes(const WatchedServers& before, const WatchedServers& after,
                                          const Names& names);
[[nodiscard]] std::vector<Change> changes(const VirtualServerKey& server, const WatchedDestinations& before,
                                          const WatchedDestinations& after, const Names& names);
// Of one set; both ascending.
[[nodiscard]] std::vector<Change> changes(const std::vector<SetEntry>& before, const std::vector<SetEntry>& after,
                                          const Names& names);
[[nodiscard]] Change change_of(const AddressChange& change, const Names& names);

// One line: "12:00:00.250 + virtual server 10.96.0.1:80/TCP rr  default/web:http", or JSON by
// docs/schema/watch.schema.json. `time`: RFC 3339 in UTC with milliseconds.
[[nodiscard]] std::string line_of(const Change& change, std::string_view time, bool colour);
[[nodiscard]] std::string json_of(const Change& change, std::string_view time);

}  // namespace ipvsd::ctl
