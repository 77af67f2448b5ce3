// Which file of a directory defines which object, and what follows for the cluster. Pure; one thread.
//
// An object defined in several files is that of the first by name. What could not be read keeps what its file said
// before, if it said anything. What had been defined before stays where there is no room for more.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/source/manifest_file.hpp"
#include "model/event.hpp"

namespace ipvsd {

class ManifestObjects {
 public:
  struct Outcome {
    std::vector<ClusterEvent> events;
    std::vector<std::string> warnings;  // conflicts between files, and what was left out
    std::size_t left_out = 0;           // new objects for which there was no room
  };

  // All files together define at most `limit` objects.
  explicit ManifestObjects(std::size_t limit = default_object_limit) : limit_(limit) {}

  // The file now says this.
  [[nodiscard]] Outcome update(const std::string& file, ManifestFile contents);
  [[nodiscard]] Outcome remove(const std::string& file);
  // All there is, as a replacement of all three kinds.
  [[nodiscard]] std::vector<ClusterEvent> snapshot();

 private:
  using Id = std::pair<Kind, ObjectKey>;
  struct Definition {
    int line = 1;
    std::optional<Object> object;  // empty: never readable
  };
  using Definitions = std::map<Id, Definition>;

  [[nodiscard]] std::size_t room_for(const ManifestFile& contents, const Definitions& before) const;
  [[nodiscard]] Outcome replace(const std::string& file, Definitions now);
  void settle(const Id& id, Outcome& outcome);
  void warn_of_conflict(const std::string& file, const Id& id, Outcome& outcome) const;

  std::size_t limit_;
  std::size_t held_ = 0;                      // definitions in files_
  std::map<std::string, Definitions> files_;  // by name
  std::map<Id, Object> delivered_;
};

}  // namespace ipvsd
