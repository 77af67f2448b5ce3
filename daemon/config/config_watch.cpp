#include "daemon/config/config_watch.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include "daemon/config/config_file.hpp"
#include "daemon/config/yaml_tree.hpp"
#include "os/file.hpp"

namespace ipvsd {

namespace fs = std::filesystem;

std::vector<std::string> directories_of(const std::string& path) {
  constexpr int link_limit = 40;  // the kernel's own
  std::vector<std::string> directories;
  std::error_code error;
  auto open = std::vector<fs::path>{fs::absolute(path, error).lexically_normal()};
  for (int links = 0; !open.empty() && links < link_limit;) {
    const auto at = open.back();
    open.pop_back();
    // Each part of the way may be a link: /etc/config/..data/config.yaml.
    fs::path prefix;
    for (auto part = at.begin(); part != at.end(); ++part) {
      const auto parent = prefix;
      prefix /= *part;
      const bool last = std::next(part) == at.end();
      const bool link = fs::is_symlink(fs::symlink_status(prefix, error));
      if ((link || last) && std::find(directories.begin(), directories.end(), parent.string()) == directories.end())
        directories.push_back(parent.string());
      if (!link) continue;
      ++links;
      auto target = parent / fs::read_symlink(prefix, error);
      for (auto more = std::next(part); more != at.end(); ++more) target /= *more;
      open.push_back(target.lexically_normal());
      break;
    }
  }
  return directories;
}

ConfigWatch::ConfigWatch(std::string path, std::string text, std::function<void()> changed,
                         std::function<void(const std::string&)> warn, std::chrono::milliseconds period)
    : path_(std::move(path)),
      text_(std::move(text)),
      changed_(std::move(changed)),
      warn_(std::move(warn)),
      period_(period),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  watch_directories();
  thread_ = std::thread([this] { run(); });
}

ConfigWatch::~ConfigWatch() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void ConfigWatch::watch_directories() {
  if (!inotify_) return;
  // A directory that is watched already keeps its watch.
  for (const auto& directory : directories_of(path_))
    (void)::inotify_add_watch(inotify_.get(), directory.c_str(),
                              IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
}

void ConfigWatch::run() {
  for (;;) {
    // What changed between the reading at start and now counts, too.
    if (look()) {
      has_changed_ = true;
      changed_();
      return;
    }
    std::array<pollfd, 2> fds{{{stop_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}}};
    const auto wait = static_cast<int>(period_.count());
    if (::poll(fds.data(), inotify_ ? 2 : 1, wait) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    // Which one it was does not matter: the content decides.
    alignas(inotify_event) std::array<char, 4096> events;
    while (inotify_ && ::read(inotify_.get(), events.data(), events.size()) > 0) {
    }
    watch_directories();
  }
}

bool ConfigWatch::look() {
  // A file that is not there, or not whole, for a moment is no other configuration.
  const auto text = read_small_file(path_, yaml_size_limit);
  if (!text || *text == text_ || text->empty()) return false;
  text_ = *text;
  const auto parsed = parse_config(text_, path_);
  if (parsed) return true;
  for (const auto& error : parsed.error()) warn_(error);
  warn_(fmt::format("{}: changed, but not to a valid configuration: kept running with what it was", path_));
  return false;
}

}  // namespace ipvsd
