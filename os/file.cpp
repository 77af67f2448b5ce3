#include "os/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.hpp"

namespace ipvsd {

Result<std::string> read_small_file(const std::string& path, std::size_t limit) {
  // Non-blocking: opening a FIFO would wait for its writer.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, fmt::format("read {}", path));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, fmt::format("read {}", path));
  if (!S_ISREG(status.st_mode)) return fail(Errc::malformed, fmt::format("read {}: not a regular file", path));
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(errno, fmt::format("read {}", path));
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > limit)
      return fail(Errc::malformed, fmt::format("read {}: larger than the limit of {} bytes", path, limit));
  }
}

}  // namespace ipvsd
