#include "daemon/serve/shortage.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

namespace ipvsd {
namespace {

std::string remedy(int sys_errno) {
  if (sys_errno == EMFILE) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return fmt::format("all {} file descriptors are in use; raise LimitNOFILE (ulimit -n)", limit.rlim_cur);
  }
  if (sys_errno == ENFILE) return "the node has no file descriptors left; raise fs.file-max";
  return "no memory for a socket; raise the memory limit, or see net.ipv4.tcp_mem";
}

}  // namespace

bool Shortage::is_one(int sys_errno) {
  return sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOBUFS || sys_errno == ENOMEM;
}

void Shortage::met(int sys_errno) {
  using namespace std::chrono;
  metrics_.accept_failed();
  const auto now = duration_cast<seconds>(steady_clock::now().time_since_epoch()).count();
  if (quiet_until_.exchange(now + 60) > now) return;
  told_({Errc::busy, sys_errno, "accept connections: " + remedy(sys_errno)});
}

}  // namespace ipvsd
