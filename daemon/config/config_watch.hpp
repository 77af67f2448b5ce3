// Notices that the configuration file has become another one. kube-proxy ends then, to be started again with it; so do
// we, unless the new file is wrong: a node that serves is better than one that starts over and over.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "os/fd.hpp"

namespace ipvsd {

class ConfigWatch {
 public:
  // `text`: the file's content as it was read. From a thread of its own `changed` is called once, when there is a
  // content that differs and is a valid configuration; `warn` gets the errors of one that is not. The directory of the
  // file is watched, and that of each symbolic link on the way to it: a mounted ConfigMap changes by the swap of one.
  // Without inotify, or where it says nothing (network file systems), the file is looked at every `period`.
  ConfigWatch(std::string path, std::string text, std::function<void()> changed,
              std::function<void(const std::string&)> warn,
              std::chrono::milliseconds period = std::chrono::seconds(60));
  ~ConfigWatch();
  ConfigWatch(const ConfigWatch&) = delete;
  ConfigWatch& operator=(const ConfigWatch&) = delete;

  [[nodiscard]] bool has_changed() const { return has_changed_; }

 private:
  void run();
  // Watches the directories as the links are now. Those watched before stay.
  void watch_directories();
  // True: it is another one, and valid.
  [[nodiscard]] bool look();

  const std::string path_;
  std::string text_;  // as last looked at
  const std::function<void()> changed_;
  const std::function<void(const std::string&)> warn_;
  const std::chrono::milliseconds period_;
  std::atomic<bool> has_changed_{false};
  Fd stop_;
  Fd inotify_;
  std::thread thread_;
};

// The directories in which the path, or a link on the way to it, has its entry; at most 40 links. Pure but for
// readlink.
[[nodiscard]] std::vector<std::string> directories_of(const std::string& path);

}  // namespace ipvsd
