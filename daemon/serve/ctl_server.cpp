#include "daemon/serve/ctl_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace ipvsd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t thread_count = 4;
constexpr int backlog = 16;
constexpr auto request_time = std::chrono::seconds(2);
constexpr auto answer_time = std::chrono::seconds(60);

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Errc::malformed, fmt::format("ctl socket \"{}\": a path of 1 to {} characters is needed", path,
                                             sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

bool is_allowed(const Fd& connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

// False at the deadline, and when the server stops.
bool wait_for(const Fd& connection, short events, const Fd& stop, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    std::array<pollfd, 2> fds{{{connection.get(), events, 0}, {stop.get(), POLLIN, 0}}};
    const int ready = left > 0 ? ::poll(fds.data(), fds.size(), static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && fds[1].revents == 0;
  }
}

// The head of a request; empty if none came in time, or too much of it.
std::string receive_head(const Fd& connection, const Fd& stop) {
  const auto deadline = Clock::now() + request_time;
  std::string head;
  std::array<char, 1024> buffer;
  while (head.size() <= ctl_request_limit && wait_for(connection, POLLIN, stop, deadline)) {
    const ssize_t size = ::recv(connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size <= 0) break;
    head.append(buffer.data(), static_cast<std::size_t>(size));
    if (const auto end = head.find("\r\n\r\n"); end != std::string::npos) return head.substr(0, end + 4);
  }
  return {};
}

bool send_all(const Fd& connection, std::string_view text, const Fd& stop, Clock::time_point deadline) {
  while (!text.empty()) {
    if (!wait_for(connection, POLLOUT, stop, deadline)) return false;
    const ssize_t sent = ::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

CtlAnswer refusal(int status, std::string_view text) {
  return {status, fmt::format("{{\"error\":\"{}\"}}\n", text), [] { return std::nullopt; }};
}

}  // namespace

Result<void> CtlServer::bind() {
  const auto address = unix_address(path_);
  if (!address) return fail(address.error());
  const auto about = fmt::format("ctl socket {}", path_);
  std::error_code error;
  const auto folder = std::filesystem::path(path_).parent_path();
  if (!folder.empty() && std::filesystem::create_directories(folder, error)) ::chmod(folder.c_str(), 0700);
  if (error) return fail_errno(error.value(), fmt::format("{}: make its folder", about));
  // Somebody who still listens keeps it; what a process that is gone has left is in the way.
  const Fd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(other.get(), generic(*address), sizeof *address) == 0 || errno == EAGAIN)
    return fail(Errc::busy, about + ": another process answers there; set ipvsd.ctlSocket to another path");
  struct stat status {};
  if (errno == ECONNREFUSED && ::lstat(path_.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
    ::unlink(path_.c_str());

  listening_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The mode of the socket is that of the file which bind() makes (unix_bind() in the kernel), at every moment.
  if (!listening_ || ::fchmod(listening_.get(), 0600) != 0 ||
      ::bind(listening_.get(), generic(*address), sizeof *address) != 0)
    return fail_errno(errno, about);
  if (::listen(listening_.get(), backlog) != 0) return fail_errno(errno, about);
  return {};
}

Result<void> CtlServer::start() {
  if (const auto bound = bind(); !bound) {
    listening_ = Fd();
    return bound;
  }
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_) {
    const int error = errno;
    listening_ = Fd();
    return fail_errno(error, fmt::format("ctl socket {}: no eventfd", path_));
  }
  try {
    for (std::size_t i = 0; i < thread_count; ++i) threads_.emplace_back([this] { serve(); });
  } catch (const std::system_error&) {
    stop();
    return fail(Errc::busy, fmt::format("ctl socket {}: its threads could not be started", path_));
  }
  return {};
}

void CtlServer::stop() {
  if (!listening_) return;
  (void)::eventfd_write(stop_.get(), 1);
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  ::unlink(path_.c_str());
  listening_ = Fd();
}

void CtlServer::serve() {
  for (;;) {
    std::array<pollfd, 2> fds{{{listening_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    const Fd connection(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection) {
      converse(connection);
    } else if (Shortage::is_one(errno)) {  // else another thread was quicker
      shortage_.met(errno);
      ::poll(&fds[1], 1, static_cast<int>(Shortage::pause.count()));
    }
  }
}

void CtlServer::converse(const Fd& connection) const {
  CtlAnswer answer = refusal(403, "only root is answered here");
  if (is_allowed(connection)) {
    const auto head = receive_head(connection, stop_);
    if (head.empty()) return;
    const auto request = parse_ctl_request(head);
    answer = request ? responder_(*request) : refusal(400, request.error().context);
  }
  const auto deadline = Clock::now() + answer_time;
  if (!send_all(connection, ctl_answer_head(answer.status), stop_, deadline)) return;
  if (!send_all(connection, answer.body, stop_, deadline)) return;
  while (const auto piece = answer.more())
    if (!send_all(connection, *piece, stop_, deadline)) return;
  ::shutdown(connection.get(), SHUT_WR);
}

}  // namespace ipvsd
