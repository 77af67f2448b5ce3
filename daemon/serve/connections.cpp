#include "daemon/serve/connections.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "daemon/serve/http_request.hpp"

namespace ipvsd {
namespace {

constexpr std::chrono::seconds connection_time{2};
constexpr std::size_t discard_limit = 65536;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

bool watch(const Fd& epoll, const Fd& fd, std::uint32_t events, std::uint64_t id, bool again) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  return ::epoll_ctl(epoll.get(), again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd.get(), &event) == 0;
}

Connections::Connections(const Fd& epoll, std::uint64_t& next_id, Shortage& shortage, Limits limits)
    : epoll_(epoll), next_id_(next_id), shortage_(shortage), limits_(limits) {}

void Connections::make_room(const std::string& group) {
  const auto of_group = [&](const auto& item) { return item.second.group == group; };
  const auto held = std::count_if(open_.begin(), open_.end(), of_group);
  if (static_cast<std::size_t>(held) >= limits_.each_group)
    open_.erase(std::find_if(open_.begin(), open_.end(), of_group));
  else if (open_.size() >= limits_.all)
    open_.erase(open_.begin());
}

void Connections::accept(const Fd& listening, const std::string& group, Responder responder) {
  Fd fd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    // Without descriptors or memory the client stays in the queue: somebody else must leave first.
    if (Shortage::is_one(errno)) {
      shortage_.met(errno);
      if (open_.empty())
        ::poll(nullptr, 0, static_cast<int>(Shortage::pause.count()));
      else
        open_.erase(open_.begin());
    }
    return;
  }
  make_room(group);
  const auto id = next_id_++;
  if (!watch(epoll_, fd, EPOLLIN, id)) return;
  open_.emplace(id, Connection{group, std::move(responder), Clock::now() + connection_time, std::move(fd), {}, {}});
}

bool Connections::on_event(std::uint64_t id) {
  const auto entry = open_.find(id);
  if (entry == open_.end()) return false;
  Connection& connection = entry->second;
  const bool answering = connection.sent < connection.answer.size();
  if (!(answering ? write(connection) : read(connection))) {
    open_.erase(entry);
    return true;
  }
  // Most answers go out at once, and then the client's end is waited for.
  const bool unsent = connection.sent < connection.answer.size();
  if (!watch(epoll_, connection.fd, unsent ? EPOLLOUT : EPOLLIN, id, true)) open_.erase(entry);
  return true;
}

void Connections::expire(Clock::time_point now) {
  while (!open_.empty() && open_.begin()->second.deadline <= now) open_.erase(open_.begin());
}

Connections::Clock::time_point Connections::due() const {
  return open_.empty() ? Clock::time_point::max() : open_.begin()->second.deadline;
}

bool Connections::read(Connection& connection) {
  std::array<char, 4096> buffer;
  const ssize_t size = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0) return would_block();
  if (size == 0) return false;
  const auto count = static_cast<std::size_t>(size);
  // Closing with unread bytes would reset the connection, and the client might lose its answer.
  if (!connection.answer.empty()) return (connection.discarded += count) < discard_limit;
  connection.received.append(buffer.data(), count);
  // Only the end of a line ends a request: a client that sends byte by byte has not all of it looked at each time.
  const bool line_ended = std::find(buffer.data(), buffer.data() + count, '\n') != buffer.data() + count;
  if (!line_ended && connection.received.size() < request_limit) return true;
  switch (request_state(connection.received)) {
    case RequestState::incomplete: return true;
    case RequestState::bad: connection.answer = bad_request_answer(); break;
    case RequestState::too_long: connection.answer = too_long_answer(); break;
    case RequestState::complete: connection.answer = connection.responder(connection.received); break;
  }
  return !connection.answer.empty() && write(connection);
}

bool Connections::write(Connection& connection) {
  const auto& answer = connection.answer;
  const ssize_t size =
      ::send(connection.fd.get(), answer.data() + connection.sent, answer.size() - connection.sent, MSG_NOSIGNAL);
  if (size < 0) return would_block();
  connection.sent += static_cast<std::size_t>(size);
  if (connection.sent == answer.size()) ::shutdown(connection.fd.get(), SHUT_WR);
  return true;
}

}  // namespace ipvsd
