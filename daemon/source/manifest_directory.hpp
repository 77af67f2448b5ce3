// A watched directory of manifest files: says which of them changed and reads them, once their writer is done. Knows
// the files by what stat says of what they point to, so that renames over them, symbolic links that are swapped
// (ConfigMap mounts) and lost notifications are all the same thing.
//
// A file that is empty, being written, or changed while it was read is left for the next time.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "model/result.hpp"
#include "os/fd.hpp"

namespace ipvsd {

class ManifestDirectory {
 public:
  explicit ManifestDirectory(std::string path) : path_(std::move(path)) {}

  // Starts watching, again if need be; what is known of the files stays. Error: not_found, denied, ...
  [[nodiscard]] Result<void> open();
  // inotify: readable when there are notifications to drain.
  [[nodiscard]] int fd() const { return inotify_.get(); }
  // Takes the notifications in, without blocking.
  void drain();
  // Whether they say that something changed since the last scan began.
  [[nodiscard]] bool due() const { return due_; }

  // `text` is empty if the file is gone, an error if it cannot be read.
  using Visit = std::function<void(const std::string& name, const std::optional<Result<std::string>>& text)>;
  // Visits the files that changed since the last scan, by name; one whose visit throws is visited again. Error: the
  // directory itself is gone: open() again.
  [[nodiscard]] Result<void> scan(const Visit& visit);
  // Whether the last scan left a file for the next time because it was being written or changed.
  [[nodiscard]] bool left_some() const { return left_some_; }

 private:
  struct Signature {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t modified = 0;  // ns
    std::int64_t changed = 0;   // ns
    friend bool operator==(const Signature&, const Signature&) = default;
  };
  [[nodiscard]] static Signature signature_of(const struct stat& status);
  [[nodiscard]] Result<std::set<std::string>> names() const;
  [[nodiscard]] Result<void> visit_file(const std::string& name, const Visit& visit);

  std::string path_;
  Fd directory_;
  Fd inotify_;
  bool gone_ = false;
  bool due_ = false;
  bool left_some_ = false;
  std::map<std::string, Signature> known_;
  std::set<std::string, std::less<>> busy_;     // written to, and not closed yet
  std::set<std::string, std::less<>> touched_;  // by any notification since it was cleared
};

}  // namespace ipvsd
