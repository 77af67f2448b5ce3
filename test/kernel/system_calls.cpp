#include "system_calls.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace {

using Word = std::uint64_t;

struct Call {
  long number = -1;
  std::array<Word, 6> arguments{};
};

// User-mode Linux knows the registers only.
std::optional<Call> entered(pid_t thread) {
#ifdef __x86_64__
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0) return std::nullopt;
  return Call{static_cast<long>(registers.orig_rax),
              {registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9}};
#else
  __ptrace_syscall_info call{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof call, &call) <= 0) return std::nullopt;
  Call read{static_cast<long>(call.entry.nr), {}};
  std::copy(std::begin(call.entry.args), std::end(call.entry.args), read.arguments.begin());
  return read;
#endif
}

// Calls that have no effect outside, whatever their arguments. Closing, and ending, do what death does anyway; what a
// program that is executed changes, it changes by calls of its own.
const std::set<long>& harmless() {
  static const std::set<long> calls = {
      // memory
      SYS_brk,
      SYS_madvise,
      SYS_mlock,
      SYS_mmap,
      SYS_mprotect,
      SYS_mremap,
      SYS_munmap,
      SYS_membarrier,
      // threads and the process itself
      SYS_capget,
      SYS_capset,
      SYS_execve,
      SYS_exit,
      SYS_exit_group,
      SYS_futex,
      SYS_get_robust_list,
      SYS_getegid,
      SYS_geteuid,
      SYS_getgid,
      SYS_getgroups,
      SYS_getpgid,
      SYS_getpid,
      SYS_getppid,
      SYS_getpriority,
      SYS_getrandom,
      SYS_getresgid,
      SYS_getresuid,
      SYS_getrlimit,
      SYS_getrusage,
      SYS_getsid,
      SYS_gettid,
      SYS_getuid,
      SYS_prctl,
      SYS_restart_syscall,
      SYS_rseq,
      SYS_rt_sigaction,
      SYS_rt_sigpending,
      SYS_rt_sigprocmask,
      SYS_rt_sigreturn,
      SYS_rt_sigsuspend,
      SYS_rt_sigtimedwait,
      SYS_sched_getaffinity,
      SYS_sched_getparam,
      SYS_sched_getscheduler,
      SYS_sched_yield,
      SYS_set_robust_list,
      SYS_set_tid_address,
      SYS_setpgid,
      SYS_sigaltstack,
      SYS_sysinfo,
      SYS_umask,
      SYS_uname,
      SYS_wait4,
      SYS_waitid,
      // time
      SYS_clock_getres,
      SYS_clock_gettime,
      SYS_clock_nanosleep,
      SYS_getitimer,
      SYS_gettimeofday,
      SYS_nanosleep,
      SYS_setitimer,
      SYS_timer_create,
      SYS_timer_delete,
      SYS_timer_settime,
      SYS_timerfd_create,
      SYS_timerfd_gettime,
      SYS_timerfd_settime,
      SYS_times,
      // reading and waiting
      SYS_epoll_pwait,
      SYS_faccessat,
      SYS_faccessat2,
      SYS_fstat,
      SYS_fstatfs,
      SYS_getcwd,
      SYS_getdents64,
      SYS_getxattr,
      SYS_lseek,
      SYS_newfstatat,
      SYS_ppoll,
      SYS_pread64,
      SYS_preadv,
      SYS_pselect6,
      SYS_read,
      SYS_readlinkat,
      SYS_readv,
      SYS_statfs,
      SYS_statx,
      // descriptors and sockets of its own
      SYS_accept,
      SYS_accept4,
      SYS_chdir,
      SYS_close,
      SYS_close_range,
      SYS_dup,
      SYS_dup3,
      SYS_epoll_create1,
      SYS_epoll_ctl,
      SYS_eventfd2,
      SYS_fchdir,
      SYS_getpeername,
      SYS_getsockname,
      SYS_getsockopt,
      SYS_inotify_add_watch,
      SYS_inotify_init1,
      SYS_inotify_rm_watch,
      SYS_listen,
      SYS_pipe2,
      SYS_recvfrom,
      SYS_recvmmsg,
      SYS_recvmsg,
      SYS_signalfd4,
      SYS_socket,
      SYS_socketpair,
#ifdef __x86_64__
      SYS_access,
      SYS_alarm,
      SYS_arch_prctl,
      SYS_dup2,
      SYS_epoll_create,
      SYS_epoll_wait,
      SYS_eventfd,
      SYS_getdents,
      SYS_getpgrp,
      SYS_inotify_init,
      SYS_lstat,
      SYS_pause,
      SYS_pipe,
      SYS_poll,
      SYS_readlink,
      SYS_select,
      SYS_signalfd,
      SYS_stat,
      SYS_time,
#endif
  };
  return calls;
}

class Memory {
 public:
  explicit Memory(pid_t thread) : thread_(thread) {}

  [[nodiscard]] std::optional<std::vector<std::byte>> bytes(Word address, std::size_t size) const {
    std::vector<std::byte> read(size);
    const iovec here{read.data(), size};
    const iovec there{reinterpret_cast<void*>(address), size};  // NOLINT(performance-no-int-to-ptr)
    if (address == 0 || ::process_vm_readv(thread_, &here, 1, &there, 1, 0) != static_cast<ssize_t>(size))
      return std::nullopt;
    return read;
  }

  template <typename T>
  [[nodiscard]] std::optional<T> value(Word address) const {
    const auto read = bytes(address, sizeof(T));
    if (!read) return std::nullopt;
    T copy{};
    std::memcpy(&copy, read->data(), sizeof copy);
    return copy;
  }

 private:
  pid_t thread_;
};

bool opens_for_writing(Word flags) { return (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY; }

bool is_thread(std::optional<Word> clone_flags) { return clone_flags && (*clone_flags & CLONE_THREAD) != 0; }

bool writes_outside(pid_t thread, Word descriptor) {
  const std::string link = "/proc/" + std::to_string(thread) + "/fd/" + std::to_string(static_cast<int>(descriptor));
  std::array<char, 64> target{};
  const auto length = ::readlink(link.c_str(), target.data(), target.size());
  return length < 0 || std::string(target.data(), static_cast<std::size_t>(length)) != "anon_inode:[eventfd]";
}

// Those of the open file that stay: locks, owner, size of a pipe. O_NONBLOCK of what it shares with others counts.
bool controls_outside(Word descriptor, Word command) {
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
    case F_GETFD:
    case F_SETFD:
    case F_GETFL:
    case F_GETLK: return false;
    case F_SETFL: return descriptor <= STDERR_FILENO;
    default: return true;
  }
}

// Others set what a protocol does: iptables replaces its tables by an option of the level IPPROTO_IP.
bool sets_outside(Word level) { return level != SOL_SOCKET && level != SOL_NETLINK && level != IPPROTO_TCP; }

// A name in the file system stays behind.
bool names_outside(const Memory& memory, Word address) {
  const auto family = memory.value<sa_family_t>(address);
  return family != AF_NETLINK && family != AF_INET && family != AF_INET6;
}

// Requests with both bits of NLM_F_DUMP and without NLM_F_CREATE: as bits of a change they would say "replace it" and
// "fail if it is there" at once.
bool only_asks(const Memory& memory, Word address, Word data, Word length) {
  constexpr Word longest = 1 << 20;
  if (memory.value<sa_family_t>(address) != AF_NETLINK || length > longest) return false;
  const auto text = memory.bytes(data, length);
  if (!text) return false;
  for (std::size_t at = 0; at < length;) {
    nlmsghdr message{};
    if (length - at < sizeof message) return false;
    std::memcpy(&message, text->data() + at, sizeof message);
    if (message.nlmsg_len < sizeof message) return false;
    if ((message.nlmsg_flags & (NLM_F_DUMP | NLM_F_CREATE)) != NLM_F_DUMP) return false;
    at += NLMSG_ALIGN(message.nlmsg_len);
  }
  return length > 0;
}

bool message_only_asks(const Memory& memory, Word address) {
  const auto message = memory.value<msghdr>(address);
  if (!message || message->msg_iovlen != 1) return false;
  const auto part = memory.value<iovec>(reinterpret_cast<Word>(message->msg_iov));
  return part && only_asks(memory, reinterpret_cast<Word>(message->msg_name), reinterpret_cast<Word>(part->iov_base),
                           part->iov_len);
}

}  // namespace

bool may_change_outside(pid_t thread) {
  const auto call = entered(thread);
  if (!call) return true;
  if (harmless().contains(call->number)) return false;
  const auto& arguments = call->arguments;
  const Memory memory(thread);
  switch (call->number) {
    case SYS_openat: return opens_for_writing(arguments[2]);
#ifdef __x86_64__
    case SYS_open: return opens_for_writing(arguments[1]);
#endif
    case SYS_clone: return !is_thread(arguments[0]);
    case SYS_clone3: return !is_thread(memory.value<Word>(arguments[0]));
    case SYS_write: return writes_outside(thread, arguments[0]);
    case SYS_fcntl: return controls_outside(arguments[0], arguments[1]);
    case SYS_prlimit64: return arguments[2] != 0;
    case SYS_setsockopt: return sets_outside(arguments[1]);
    case SYS_bind: return names_outside(memory, arguments[1]);
    case SYS_sendto: return !only_asks(memory, arguments[4], arguments[1], arguments[2]);
    case SYS_sendmsg: return !message_only_asks(memory, arguments[1]);
    default: return true;
  }
}
