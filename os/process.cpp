#include "os/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>

#include "os/fd.hpp"

extern char** environ;

namespace ipvsd {
namespace {

constexpr std::size_t output_limit = 64U << 20;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// The program starts with no signal blocked and the default actions: the daemon blocks and ignores some.
Result<pid_t> spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  std::vector<char*> arguments;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, in, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  // A process group of its own, so that what it starts can be killed with it.
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail_errno(error, fmt::format("run {}", argv[0]));
  return pid;
}

// False at the end of the stream.
bool drain(const Fd& fd, std::string& into) {
  std::array<char, 16384> buffer;
  const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
  if (size < 0) return errno == EINTR || errno == EAGAIN;
  if (into.size() < output_limit) into.append(buffer.data(), static_cast<std::size_t>(size));
  return size > 0;
}

}  // namespace

Result<ProcessResult> run_process(const std::vector<std::string>& argv, const std::string& input,
                                  std::chrono::milliseconds deadline) {
  auto in = make_pipe();
  auto out = make_pipe();
  auto err = make_pipe();
  for (const auto* pipe : {&in, &out, &err})
    if (!*pipe) return fail(pipe->error().within(fmt::format("run {}", argv[0])));
  const auto pid = spawn(argv, in->read.get(), out->write.get(), err->write.get());
  if (!pid) return fail(pid.error());
  in->read.reset();
  out->write.reset();
  err->write.reset();
  ::fcntl(in->write.get(), F_SETFL, O_NONBLOCK);
  if (input.empty()) in->write.reset();

  ProcessResult result;
  std::size_t written = 0;
  const auto end = std::chrono::steady_clock::now() + deadline;
  bool timed_out = false;
  while (out->read || err->read) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    std::array<pollfd, 3> fds{
        {{out->read.get(), POLLIN, 0}, {err->read.get(), POLLIN, 0}, {in->write.get(), POLLOUT, 0}}};
    const int ready = left.count() > 0 ? ::poll(fds.data(), fds.size(), static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      timed_out = true;
      ::kill(-*pid, SIGKILL);
      break;
    }
    if (fds[0].revents != 0 && !drain(out->read, result.out)) out->read.reset();
    if (fds[1].revents != 0 && !drain(err->read, result.err)) err->read.reset();
    if (fds[2].revents != 0) {
      const ssize_t size = ::write(in->write.get(), input.data() + written, input.size() - written);
      if (size > 0) written += static_cast<std::size_t>(size);
      // A program that does not read its input (EPIPE) says why by its exit status.
      if (written == input.size() || (size < 0 && errno != EAGAIN && errno != EINTR)) in->write.reset();
    }
  }
  // It may close its outputs and live on.
  int status = 0;
  for (pid_t ended = 0; ended == 0;) {
    ended = ::waitpid(*pid, &status, timed_out ? 0 : WNOHANG);
    if (ended < 0 && errno == EINTR) ended = 0;
    if (ended != 0) break;
    if (std::chrono::steady_clock::now() >= end) {
      timed_out = true;
      ::kill(-*pid, SIGKILL);
    } else {
      ::poll(nullptr, 0, 1);
    }
  }
  if (timed_out)
    return fail(Errc::timed_out, fmt::format("run {}: no end after {} ms, killed", argv[0], deadline.count()));
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace ipvsd
