#include "daemon/kernel/conntrack_hash.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "os/fd.hpp"

namespace ipvsd {
namespace {

// Where several file systems are mounted on /sys, the last one is what is seen.
bool sysfs_is_read_only(const std::string& root) {
  std::ifstream mounts(root + "/proc/mounts");
  bool read_only = false;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device;
    std::string place;
    std::string type;
    std::string options;
    if (!(fields >> device >> place >> type >> options) || place != "/sys") continue;
    read_only = options == "ro" || options.starts_with("ro,");
  }
  return read_only;
}

}  // namespace

Result<void> raise_conntrack_hash(std::uint64_t conntrack_max, const std::string& root) {
  const std::string path = root + "/sys/module/nf_conntrack/parameters/hashsize";
  const std::uint64_t wanted = conntrack_max / 4;
  std::uint64_t current = 0;
  if (std::ifstream file(path); !(file >> current))
    return fail(Errc::not_found, fmt::format("{} cannot be read: is nf_conntrack loaded?", path));
  if (current >= wanted) return {};
  const auto what = fmt::format("conntrack hash table has {} buckets and should have {} ({})", current, wanted, path);
  const auto advice = what + "; set it on the host, or connections become slow when there are many";
  if (sysfs_is_read_only(root)) return fail_errno(EROFS, advice + "; /sys is read-only here");
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, advice);
  const auto text = std::to_string(wanted);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno(errno, advice);
  return {};
}

}  // namespace ipvsd
