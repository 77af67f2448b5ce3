// Ends a program with SIGKILL right before its Nth system call, whichever of its threads makes it: a crash at every
// point where it can have told the kernel something.
//
// With --changing only the calls count that can change something outside of the process (system_calls.hpp). What a
// killed process leaves to its successor is what it has changed outside of itself; the rest, its memory, threads,
// descriptors and sockets, goes with it, whenever it dies. So between two calls that can change something it leaves
// the same, whichever of the others it was killed at, and to be killed at the entry of each call that can change
// something, and after the last of them, is to be killed everywhere.
//
//   kill_at N [OPTION...] PROGRAM [ARGUMENT...]   starts PROGRAM, and counts from its exec on
//   kill_at N [OPTION...] --pid PID               counts from now on
//     --for MS          ends it when for MS milliseconds no call could change anything (default 10000), or after a
//                       minute; with N 0 not before
//     --tree            the calls of the programs that it starts count too, and they are killed with it; otherwise
//                       they live on
//     --changing        only the calls that can change something outside count for N
//     --rename FROM TO  once counting has begun, so that PROGRAM sees a file appear, change or go
//
// Prints "killed at CALLS", "killed after CALLS" where the time was up, or "ended with STATUS after CALLS", where CALLS
// is "N calls, C changing": of N that were made C could change something outside.
// Exit status: 0 killed at N, 1 ended by itself or killed later, 2 a wrong command line or no ptrace.
#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <string_view>

#include "system_calls.hpp"

namespace {

volatile std::sig_atomic_t time_is_up = 0;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "kill_at: %s: %s\n", what, std::strerror(errno));
  std::exit(2);
}

struct Options {
  long kill_at = 0;
  long milliseconds = 10000;
  bool tree = false;
  bool changing = false;
  const char* rename_from = nullptr;
  const char* rename_to = nullptr;
  pid_t pid = 0;
  char** program = nullptr;
};

Options parse(int argc, char** argv) {
  Options options;
  if (argc < 2) die("no number");
  options.kill_at = std::atol(argv[1]);
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--tree") {
      options.tree = true;
    } else if (word == "--changing") {
      options.changing = true;
    } else if (word == "--for" && i + 1 < argc) {
      options.milliseconds = std::atol(argv[++i]);
    } else if (word == "--rename" && i + 2 < argc) {
      options.rename_from = argv[++i];
      options.rename_to = argv[++i];
    } else if (word == "--pid" && i + 1 < argc) {
      options.pid = std::atoi(argv[++i]);
    } else {
      options.program = argv + i;
      break;
    }
  }
  if ((options.pid == 0) == (options.program == nullptr)) {
    errno = EINVAL;
    die("either a program or --pid");
  }
  return options;
}

// The threads and programs that are traced, and those of them that are inside a system call.
class Tracees {
 public:
  explicit Tracees(bool tree) : tree_(tree) {}

  void seize(pid_t process) {
    const std::string folder = "/proc/" + std::to_string(process) + "/task";
    // Threads that come to be meanwhile are traced as children of those that are.
    for (bool found = true; found;) {
      found = false;
      DIR* tasks = ::opendir(folder.c_str());
      if (tasks == nullptr) die("opendir");
      while (const dirent* entry = ::readdir(tasks)) {
        const pid_t thread = std::atoi(entry->d_name);
        if (thread == 0 || all_.contains(thread)) continue;
        if (::ptrace(PTRACE_SEIZE, thread, nullptr, options()) != 0) {
          if (errno == ESRCH || errno == EPERM) continue;
          die("PTRACE_SEIZE");
        }
        ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr);
        all_.insert(thread);
        found = true;
      }
      ::closedir(tasks);
    }
    if (all_.empty()) die("no thread could be traced");
  }

  void resume(pid_t thread, int signal) {
    all_.insert(thread);
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, signal);
  }

  // At the entry of a system call, not at its end.
  bool enters(pid_t thread) {
    if (inside_.erase(thread) != 0) return false;
    inside_.insert(thread);
    return true;
  }

  void ended(pid_t thread) {
    all_.erase(thread);
    inside_.erase(thread);
  }

  void kill() const {
    for (const pid_t thread : all_) ::kill(thread, SIGKILL);
  }

 private:
  [[nodiscard]] long options() const {
    return PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL |
           (tree_ ? PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK : 0);
  }

  const bool tree_;
  std::set<pid_t> all_;
  std::set<pid_t> inside_;
};

// Started, and held back until it is traced.
pid_t start(char** program, int& release) {
  int gate[2];
  if (::pipe(gate) != 0) die("pipe");
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child == 0) {
    char go = 0;
    ::close(gate[1]);
    if (::read(gate[0], &go, 1) != 1) ::_exit(127);
    ::close(gate[0]);
    ::execvp(program[0], program);
    ::_exit(127);
  }
  ::close(gate[0]);
  release = gate[1];
  return child;
}

// The time of a way that goes on and on.
constexpr std::chrono::minutes longest(1);

void set_alarm(long milliseconds) {
  const itimerval limit{{0, 10000}, {milliseconds / 1000, milliseconds % 1000 * 1000}};
  ::setitimer(ITIMER_REAL, &limit, nullptr);
}

// How many were entered, and how many of these could change something outside.
struct Calls {
  long all = 0;
  long changing = 0;
};

void say(const std::string& what, const Calls& calls) {
  std::printf("%s %ld calls, %ld changing\n", what.c_str(), calls.all, calls.changing);
}

int follow(const Options& options, pid_t process, Tracees& tracees) {
  const auto end = std::chrono::steady_clock::now() + longest;
  for (Calls calls;;) {
    int status = 0;
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (time_is_up != 0) {
      tracees.kill();
      if (thread > 0 && WIFSTOPPED(status)) ::kill(thread, SIGKILL);
      say("killed after", calls);
      return 1;
    }
    if (thread < 0 && errno == EINTR) continue;
    if (thread < 0) die("waitpid");
    if (!WIFSTOPPED(status)) {
      tracees.ended(thread);
      if (thread != process) continue;
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      say("ended with " + std::to_string(code) + " after", calls);
      return 1;
    }
    const int signal = WSTOPSIG(status);
    if (signal != (SIGTRAP | 0x80)) {
      tracees.resume(thread, (status >> 16) != 0 ? 0 : signal);
      continue;
    }
    if (tracees.enters(thread)) {
      const bool changes = may_change_outside(thread);
      ++calls.all;
      if (changes) ++calls.changing;
      if (changes && std::chrono::steady_clock::now() < end) set_alarm(options.milliseconds);
      if ((changes || !options.changing) && (options.changing ? calls.changing : calls.all) == options.kill_at) {
        tracees.kill();
        say("killed at", calls);
        return 0;
      }
    }
    tracees.resume(thread, 0);
  }
}

// Until all of it is gone for good, and its sockets and locks with it.
void wait_for_the_end() {
  for (int status = 0;;) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0 && errno == EINTR) continue;
    if (thread < 0) return;
    // Begun in the last moment, and not known yet.
    if (WIFSTOPPED(status)) ::kill(thread, SIGKILL);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  struct sigaction action {};
  action.sa_handler = [](int) { time_is_up = 1; };
  ::sigaction(SIGALRM, &action, nullptr);

  int release = -1;
  const pid_t process = options.pid != 0 ? options.pid : start(options.program, release);
  Tracees tracees(options.tree);
  tracees.seize(process);
  set_alarm(options.milliseconds);
  if (release >= 0 && ::write(release, "", 1) != 1) die("write");
  if (options.rename_from != nullptr && ::rename(options.rename_from, options.rename_to) != 0) die("rename");
  const int result = follow(options, process, tracees);
  wait_for_the_end();
  return result;
}
