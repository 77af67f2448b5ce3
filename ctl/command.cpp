#include "ctl/command.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace ipvsd::ctl {

Result<void> write_out(std::string_view text) {
  // Set before the first byte; the default of 4 KiB makes a large dump thousands of writes.
  static std::array<char, 64U << 10> buffer;
  static const bool buffered = std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size()) == 0;
  (void)buffered;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail_errno(errno, "standard output");
  return {};
}

int complain(const Error& error, int status) {
  std::fflush(stdout);
  // The reader of a pipe had enough: no news to the user.
  if (error.sys_errno == EPIPE) return status;
  // Where no system call failed, the words are our own and say it all.
  fmt::print(stderr, "kube-ipvsctl: {}\n", error.sys_errno == 0 ? error.context : error.message());
  return status;
}

int finish(Result<void> result) {
  if (result && std::fflush(stdout) != 0) result = fail_errno(errno, "standard output");
  return result ? 0 : complain(result.error(), 1);
}

}  // namespace ipvsd::ctl
