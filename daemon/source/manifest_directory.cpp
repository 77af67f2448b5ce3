#include "daemon/source/manifest_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>

#include <array>
#include <cstring>
#include <memory>

#include "daemon/source/manifest_file.hpp"

namespace ipvsd {
namespace {

constexpr off_t size_limit = off_t{1} << 30;
constexpr std::uint32_t writing = IN_MODIFY;
constexpr std::uint32_t settled = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint32_t directory_gone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;
// A link that replaces a directory in a ConfigMap's mount.
constexpr std::string_view data_link = "..data";

Result<std::string> read_all(const Fd& fd, std::size_t expected, const std::string& path) {
  std::string text;
  text.reserve(expected + 1);
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(errno, fmt::format("read {}", path));
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
    if (text.size() > static_cast<std::size_t>(size_limit))
      return fail(Errc::malformed, fmt::format("{}: more than the {} bytes that are read", path, size_limit));
  }
}

}  // namespace

Result<void> ManifestDirectory::open() {
  directory_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_) return fail_errno(errno, fmt::format("open directory {}", path_));
  inotify_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify_) return fail_errno(errno, "inotify");
  constexpr std::uint32_t mask = writing | settled | IN_CREATE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (::inotify_add_watch(inotify_.get(), path_.c_str(), mask) < 0)
    return fail_errno(errno, fmt::format("watch directory {}", path_));
  gone_ = false;
  busy_.clear();
  return {};
}

void ManifestDirectory::drain() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const std::string name = event.len > 0 ? buffer.data() + at + sizeof event : "";
      at += sizeof event + event.len;
      if ((event.mask & directory_gone) != 0) gone_ = due_ = true;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        busy_.clear();
        due_ = true;
      }
      if (name == data_link) due_ = true;
      if (!is_manifest_name(name)) continue;
      touched_.insert(name);
      if ((event.mask & writing) != 0) busy_.insert(name);
      if ((event.mask & settled) != 0) busy_.erase(name);
      due_ = due_ || !busy_.contains(name);
    }
  }
}

ManifestDirectory::Signature ManifestDirectory::signature_of(const struct stat& status) {
  constexpr std::int64_t second = 1000000000;
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec * second + status.st_mtim.tv_nsec,
          status.st_ctim.tv_sec * second + status.st_ctim.tv_nsec};
}

Result<std::set<std::string>> ManifestDirectory::names() const {
  struct stat own {};
  struct stat at_path {};
  if (gone_ || ::fstat(directory_.get(), &own) != 0 || ::stat(path_.c_str(), &at_path) != 0 ||
      own.st_ino != at_path.st_ino || own.st_dev != at_path.st_dev)
    return fail(Errc::not_found, fmt::format("directory {} was removed or replaced", path_));
  // A descriptor of its own: fdopendir takes it over, and its position is shared with copies.
  const int fd = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto close = [](DIR* dir) { ::closedir(dir); };
  const std::unique_ptr<DIR, decltype(close)> dir(fd < 0 ? nullptr : ::fdopendir(fd), close);
  if (!dir) return fail_errno(errno, fmt::format("read directory {}", path_));
  std::set<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr && errno != 0) return fail_errno(errno, fmt::format("read directory {}", path_));
    if (entry == nullptr) return names;
    if (is_manifest_name(entry->d_name)) names.insert(entry->d_name);
  }
}

Result<void> ManifestDirectory::scan(const Visit& visit) {
  drain();
  due_ = false;
  left_some_ = false;
  const auto present = names();
  if (!present) return fail(present.error());
  std::vector<std::string> missing;
  for (const auto& [name, signature] : known_)
    if (!present->contains(name)) missing.push_back(name);
  for (const auto& name : missing) {
    visit(name, {});
    known_.erase(name);
  }
  for (const auto& name : *present)
    if (auto visited = visit_file(name, visit); !visited) return visited;
  return {};
}

Result<void> ManifestDirectory::visit_file(const std::string& name, const Visit& visit) {
  struct stat before {};
  const auto known = known_.find(name);
  // A link to nothing counts as gone: that is how a ConfigMap's key disappears.
  if (::fstatat(directory_.get(), name.c_str(), &before, 0) != 0) {
    if (errno == ENOENT && known != known_.end()) {
      visit(name, {});
      known_.erase(known);
    }
    return {};
  }
  if (known != known_.end() && known->second == signature_of(before)) return {};
  if (S_ISREG(before.st_mode) && before.st_size == 0) return {};
  if (busy_.contains(name)) {
    left_some_ = true;
    return {};
  }
  const auto refuse = [&](const auto& error) {
    visit(name, Result<std::string>(error));
    known_.insert_or_assign(name, signature_of(before));
    return Result<void>();
  };
  if (!S_ISREG(before.st_mode)) return refuse(fail(Errc::unsupported, fmt::format("{}: not a regular file", name)));
  if (before.st_size > size_limit)
    return refuse(
        fail(Errc::malformed, fmt::format("{}: {} bytes, at most {} are read", name, before.st_size, size_limit)));
  const Fd file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  // Not this file's fault: all is looked at again.
  if (!file && errc_of(errno) == Errc::busy) return fail_errno(errno, fmt::format("open {}", name));
  if (!file) return refuse(fail_errno(errno, fmt::format("open {}", name)));

  touched_.clear();
  const auto text = read_all(file, static_cast<std::size_t>(before.st_size), name);
  drain();
  struct stat after {};
  if (touched_.contains(name) || ::fstat(file.get(), &after) != 0 || signature_of(after) != signature_of(before)) {
    left_some_ = true;
    return {};
  }
  visit(name, text);
  known_.insert_or_assign(name, signature_of(before));
  return {};
}

}  // namespace ipvsd
