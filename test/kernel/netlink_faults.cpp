#include "test/kernel/netlink_faults.hpp"

#include <dlfcn.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <random>

namespace ipvsd::test {
namespace {

std::mt19937 random_source;
unsigned fault_rate = 0;
std::uint64_t injected = 0;
std::uint64_t late = 0;
// Sockets on which what the kernel has answered is not there yet, and for how many receives more.
std::map<int, unsigned> silent;
// By how much waiting for these has put the clock on.
std::chrono::milliseconds waited{0};

bool strikes(int socket) {
  if (fault_rate == 0) return false;
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_NETLINK) return false;
  if (random_source() % fault_rate != 0) return false;
  ++injected;
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

using Sendto = ssize_t(int, const void*, size_t, int, const sockaddr*, socklen_t);
using Recvmsg = ssize_t(int, msghdr*, int);
using Recvmmsg = int(int, mmsghdr*, unsigned, int, timespec*);
using Poll = int(pollfd*, nfds_t, int);
using ClockGettime = int(clockid_t, timespec*);

int send_error() {
  constexpr std::array errors{ENOBUFS, ENOMEM, EAGAIN, EINTR};
  return errors[random_source() % errors.size()];
}

void drop_answers(int socket) {
  static std::array<char, 1U << 18> scratch;
  while (::recv(socket, scratch.data(), scratch.size(), MSG_DONTWAIT) > 0) {
  }
}

// Whether the answer is late: it comes while it is still waited for, or right after that, or among those to what is
// sent next.
bool becomes_silent(int socket) {
  if (random_source() % 4 != 0) return false;
  ++late;
  silent[socket] = static_cast<unsigned>(random_source() % 3);
  return true;
}

bool still_silent(int socket) {
  const auto found = silent.find(socket);
  if (found == silent.end()) return false;
  if (found->second-- > 0) return true;
  silent.erase(found);
  return false;
}

// The errno that takes the place of a receive; 0: it takes place, and is spoilt.
int receive_error(int socket) {
  switch (random_source() % 4) {
    case 0: drop_answers(socket); return ENOBUFS;
    case 1: return ENOMEM;
    case 2: return EINTR;
    default: return 0;
  }
}

void spoil(msghdr& message, std::size_t size) {
  if (message.msg_iovlen == 0 || size < sizeof(nlmsghdr)) return;
  auto* header = static_cast<nlmsghdr*>(message.msg_iov[0].iov_base);
  if ((header->nlmsg_flags & NLM_F_MULTI) != 0)
    header->nlmsg_flags |= NLM_F_DUMP_INTR;
  else
    message.msg_flags |= MSG_TRUNC;
}

}  // namespace

void trouble_netlink(std::uint32_t seed, unsigned rate) {
  random_source.seed(seed);
  fault_rate = rate;
}
void calm_netlink() {
  fault_rate = 0;
  silent.clear();
}
std::uint64_t netlink_faults() { return injected; }
std::uint64_t late_answers() { return late; }

}  // namespace ipvsd::test

using namespace ipvsd::test;

extern "C" ssize_t sendto(int socket, const void* bytes, size_t size, int flags, const sockaddr* to, socklen_t length) {
  static auto* const real = next<Sendto>("sendto");
  silent.erase(socket);
  if (!strikes(socket)) return real(socket, bytes, size, flags, to, length);
  errno = send_error();
  return -1;
}

extern "C" ssize_t recvmsg(int socket, msghdr* message, int flags) {
  static auto* const real = next<Recvmsg>("recvmsg");
  if (!strikes(socket)) return real(socket, message, flags);
  if (const int error = receive_error(socket); error != 0) {
    errno = error;
    return -1;
  }
  const ssize_t size = real(socket, message, flags);
  if (size > 0) spoil(*message, static_cast<std::size_t>(size));
  return size;
}

extern "C" int recvmmsg(int socket, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  static auto* const real = next<Recvmmsg>("recvmmsg");
  const bool nothing = still_silent(socket);
  if (!nothing && !strikes(socket)) return real(socket, messages, count, flags, timeout);
  if (nothing || becomes_silent(socket)) {
    errno = EAGAIN;
    return -1;
  }
  if (const int error = receive_error(socket); error != 0) {
    errno = error;
    return -1;
  }
  const int received = real(socket, messages, count, flags, timeout);
  if (received > 0) spoil(messages[0].msg_hdr, messages[0].msg_len);
  return received;
}

extern "C" int poll(pollfd* fds, nfds_t count, int timeout) {
  static auto* const real = next<Poll>("poll");
  if (count != 1 || !silent.contains(fds[0].fd) || timeout < 0) return real(fds, count, timeout);
  waited += std::chrono::milliseconds(timeout);
  fds[0].revents = 0;
  return 0;
}

extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  static auto* const real = next<ClockGettime>("clock_gettime");
  const int result = real(clock, time);
  if (result == 0 && clock == CLOCK_MONOTONIC) time->tv_sec += std::chrono::ceil<std::chrono::seconds>(waited).count();
  return result;
}
