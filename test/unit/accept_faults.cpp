#include "test/unit/accept_faults.hpp"

#include <dlfcn.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<int> error{0};
std::atomic<int> left{0};

}  // namespace

void ipvsd::test::fail_accepts(int times, int sys_errno) {
  error = sys_errno;
  left = times;
}

// In place of the C library's.
extern "C" int accept4(int socket, sockaddr* address, socklen_t* size, int flags) {
  for (int times = left; times > 0;) {
    if (!left.compare_exchange_weak(times, times - 1)) continue;
    errno = error;
    return -1;
  }
  using Accept4 = int(int, sockaddr*, socklen_t*, int);
  static auto* const next = reinterpret_cast<Accept4*>(::dlsym(RTLD_NEXT, "accept4"));
  return next(socket, address, size, flags);
}
