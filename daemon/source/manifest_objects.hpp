// Which file of a directory defines which object, and what follows for the cluster. Pure; one thread.
//
// An object defined in several files is that of the first by name. What could not be read keeps what its file said
// before, if it said anything.
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
    std::vector<std::string> warnings;  // conflicts between files
  };

  // The file now says this.
  [[nodiscard]] Outcome update(const std::string& file, ManifestFile contents);
  [[nodiscard]] Outcome remove(const std::string& file);
  // All there is, as a replacement of all three kinds.
  [[nodiscard]] std::vector<ClusterEvent> snapshot() const;

 private:
  using Id = std::pair<Kind, ObjectKey>;
  struct Definition {
    int line = 1;
    std::optional<Object> object;  // empty: never readable
  };
  using Definitions = std::map<Id, Definition>;

  [[nodiscard]] Outcome replace(const std::string& file, Definitions now);
  void settle(const Id& id, Outcome& outcome);
  void warn_of_conflict(const std::string& file, const Id& id, Outcome& outcome) const;

  std::map<std::string, Definitions> files_;  // by name
  std::map<Id, Object> delivered_;
};

}  // namespace ipvsd
