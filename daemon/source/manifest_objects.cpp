#include "daemon/source/manifest_objects.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace ipvsd {

ManifestObjects::Outcome ManifestObjects::update(const std::string& file, ManifestFile contents) {
  Definitions now;
  const auto& before = files_[file];
  std::size_t room = room_for(contents, before);
  std::vector<std::string> warnings;
  std::size_t left_out = 0;
  for (auto& entry : contents.entries) {
    Id id(entry.kind, std::move(entry.key));
    if (!before.contains(id)) {
      if (room == 0) {
        if (left_out++ == 0)
          warnings.push_back(
              fmt::format("{}:{}: {} {}: left out with what is new after it, as all files together define {} objects, "
                          "which is the limit; take some away, then change this file",
                          file, entry.line, to_string(id.first), id.second.to_string(), limit_));
        continue;
      }
      --room;
    }
    if (!entry.object)
      if (const auto known = before.find(id); known != before.end()) entry.object = known->second.object;
    now.emplace(std::move(id), Definition{entry.line, std::move(entry.object)});
  }
  // What could not be attributed may be any of those that are missing now.
  if (!contents.complete) now.insert(before.begin(), before.end());
  auto outcome = replace(file, std::move(now));
  outcome.warnings.insert(outcome.warnings.begin(), warnings.begin(), warnings.end());
  outcome.left_out = left_out;
  return outcome;
}

// How many that are not among `before` may come.
std::size_t ManifestObjects::room_for(const ManifestFile& contents, const Definitions& before) const {
  std::size_t held = held_;
  if (contents.complete) {
    held -= before.size();
    for (const auto& entry : contents.entries) held += before.contains({entry.kind, entry.key}) ? 1 : 0;
  }
  return limit_ - std::min(limit_, held);
}

ManifestObjects::Outcome ManifestObjects::remove(const std::string& file) {
  auto outcome = replace(file, {});
  files_.erase(file);
  return outcome;
}

ManifestObjects::Outcome ManifestObjects::replace(const std::string& file, Definitions now) {
  auto& definitions = files_[file];
  std::set<Id> touched;
  for (const auto& [id, definition] : definitions) touched.insert(id);
  for (const auto& [id, definition] : now) touched.insert(id);
  held_ += now.size() - definitions.size();
  definitions = std::move(now);

  Outcome outcome;
  for (const auto& id : touched) {
    settle(id, outcome);
    if (definitions.contains(id)) warn_of_conflict(file, id, outcome);
  }
  return outcome;
}

// Compares what the files say of one object with what was delivered.
void ManifestObjects::settle(const Id& id, Outcome& outcome) {
  bool defined = false;
  for (const auto& [file, definitions] : files_) {
    const auto found = definitions.find(id);
    if (found == definitions.end()) continue;
    defined = true;
    const auto& object = found->second.object;
    if (!object) continue;
    const auto known = delivered_.find(id);
    if (known == delivered_.end() || known->second != *object) {
      delivered_.insert_or_assign(id, *object);
      outcome.events.emplace_back(Upsert{*object});
    }
    return;
  }
  if (!defined && delivered_.erase(id) > 0) outcome.events.emplace_back(Remove{id.first, id.second});
}

void ManifestObjects::warn_of_conflict(const std::string& file, const Id& id, Outcome& outcome) const {
  for (const auto& [other, definitions] : files_) {
    const auto found = definitions.find(id);
    if (other == file || found == definitions.end()) continue;
    const auto& own = files_.at(file).at(id);
    outcome.warnings.push_back(fmt::format("{}:{}: {} {}: defined in {}:{} too; the one in {} counts", file, own.line,
                                           to_string(id.first), id.second.to_string(), other, found->second.line,
                                           std::min(file, other)));
  }
}

std::vector<ClusterEvent> ManifestObjects::snapshot() {
  // From the files alone: an update that found no memory may have left the rest half done.
  delivered_.clear();
  for (const auto& [file, definitions] : files_)
    for (const auto& [id, definition] : definitions)
      if (definition.object) delivered_.try_emplace(id, *definition.object);
  std::vector<ClusterEvent> events;
  for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
    events.emplace_back(ReplaceBegin{kind});
    for (const auto& [id, object] : delivered_)
      if (id.first == kind) events.emplace_back(Upsert{object});
    std::set<Id> unreadable;
    for (const auto& [file, definitions] : files_)
      for (const auto& [id, definition] : definitions)
        if (id.first == kind && !delivered_.contains(id)) unreadable.insert(id);
    for (const auto& id : unreadable) events.emplace_back(Keep{kind, id.second});
    events.emplace_back(ReplaceEnd{kind});
  }
  return events;
}

}  // namespace ipvsd
