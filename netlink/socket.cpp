#include "netlink/socket.hpp"

#include <fmt/format.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace ipvsd::nl {
namespace {

// Room for the answers to a batch whose every message fails: about 64 bytes of answer, but 768 of socket buffer each.
constexpr int receive_buffer = 8 << 20;
constexpr std::size_t datagram_limit = 256U << 10;

Errc errc_of_nl(int nl_error) {
  switch (-nl_error) {
    case NLE_PERM:
    case NLE_NOACCESS: return Errc::denied;
    case NLE_NOMEM: return Errc::overrun;
    default: return Errc::unsupported;
  }
}

}  // namespace

int error_of(const Message& message) {
  const auto error = load<std::int32_t>(message.payload);
  return error && *error < 0 ? -*error : 0;
}

void Socket::Close::operator()(nl_sock* socket) const { ::nl_socket_free(socket); }

Socket::Socket(std::unique_ptr<nl_sock, Close> socket, std::string name)
    : socket_(std::move(socket)), name_(std::move(name)), buffer_(datagram_limit) {}

Result<Socket> Socket::open(int protocol, std::string name) {
  std::unique_ptr<nl_sock, Close> socket(::nl_socket_alloc());
  if (!socket) return fail(Errc::busy, name + ": no memory for a socket", ENOMEM);
  if (const int error = ::nl_connect(socket.get(), protocol); error < 0)
    return fail(errc_of_nl(error), fmt::format("{}: open: {}", name, ::nl_geterror(error)));
  const int fd = ::nl_socket_get_fd(socket.get());
  const int on = 1;
  // Best effort: RCVBUFFORCE needs CAP_NET_ADMIN, which the first write reports better than we could here.
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &receive_buffer, sizeof receive_buffer);
  ::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  ::setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return Socket(std::move(socket), std::move(name));
}

int Socket::fd() const { return ::nl_socket_get_fd(socket_.get()); }

Result<void> Socket::join(int group) {
  if (const int error = ::nl_socket_add_membership(socket_.get(), group); error < 0)
    return fail(errc_of_nl(error), fmt::format("{}: join group {}: {}", name_, group, ::nl_geterror(error)));
  return {};
}

void Socket::discard_stale() {
  if (!std::exchange(stale_, false)) return;
  for (;;) {
    const auto datagram = receive(Clock::time_point{});
    if (!datagram && datagram.error().code != Errc::overrun) return;
  }
}

Result<void> Socket::send(Batch& batch, std::uint16_t flags) {
  discard_stale();
  batch.finish(flags);
  next_sequence_ = batch.last_sequence() + 1;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const ssize_t sent = ::sendto(fd(), batch.bytes().data(), batch.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return {};
    if (errno != EINTR) return fail_errno(errno, fmt::format("{}: send {} messages", name_, batch.count()));
  }
}

Result<Bytes> Socket::receive(Clock::time_point end) {
  sockaddr_nl from{};
  iovec vector{buffer_.data(), buffer_.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  for (;;) {
    const ssize_t size = ::recvmsg(fd(), &message, MSG_DONTWAIT);
    if (size >= 0) {
      if ((message.msg_flags & MSG_TRUNC) != 0)
        return fail(Errc::overrun, fmt::format("{}: an answer is longer than {} bytes", name_, buffer_.size()));
      if (from.nl_pid != 0) return Bytes{};  // any process may write to us; only the kernel has port 0
      return Bytes(buffer_.data(), static_cast<std::size_t>(size));
    }
    if (errno == EINTR) continue;
    if (errno == ENOBUFS) return fail_errno(ENOBUFS, name_ + ": the kernel dropped answers");
    if (errno != EAGAIN) return fail_errno(errno, name_ + ": receive");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return fail(Errc::timed_out, name_ + ": no answer from the kernel");
    pollfd poll{fd(), POLLIN, 0};
    ::poll(&poll, 1, static_cast<int>(left.count()));
  }
}

std::vector<Failure> Socket::transact(Batch& batch) {
  std::vector<Failure> failures;
  if (batch.count() == 0) return failures;
  const auto all_from = [&](std::size_t first, const Error& error) {
    std::vector<bool> known(batch.count());
    for (const auto& failure : failures) known[failure.index] = true;
    for (std::size_t i = first; i < batch.count(); ++i)
      if (!known[i]) failures.push_back({i, error});
    std::sort(failures.begin(), failures.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
    return failures;
  };
  if (const auto sent = send(batch, NLM_F_ACK); !sent) return all_from(0, sent.error());

  const auto end = Clock::now() + answer_deadline;
  for (;;) {
    const auto datagram = receive(end);
    stale_ = !datagram;
    if (!datagram) return all_from(0, datagram.error());
    MessageCursor messages(*datagram);
    bool done = false;
    while (const auto message = messages.next()) {
      const std::uint32_t index = message->header.nlmsg_seq - batch.first_sequence();
      // Answers to an earlier batch whose deadline had passed, and notifications, are not ours.
      if (message->header.nlmsg_type != NLMSG_ERROR || index >= batch.count()) continue;
      if (const int error = error_of(*message); error != 0)
        failures.push_back({index, Error{errc_of(error), error, name_}});
      done = done || index + 1 == batch.count();
    }
    if (done) break;
  }
  return failures;
}

Result<void> Socket::query(Batch& batch, const Visit& visit) {
  if (const auto sent = ask(batch); !sent) return sent;
  Result<void> outcome;
  for (;;) {
    const auto more = read_answers(batch, visit, outcome);
    if (!more) return fail(more.error());
    if (!*more) return outcome;
  }
}

Result<bool> Socket::next_answer(const Batch& batch, const Visit& visit) {
  Result<void> outcome;
  const auto more = read_answers(batch, visit, outcome);
  if (!outcome) return fail(outcome.error());
  return more;
}

// One datagram; true if the last request has more to say. What the kernel refuses goes into `outcome`.
Result<bool> Socket::read_answers(const Batch& batch, const Visit& visit, Result<void>& outcome) {
  const auto end = Clock::now() + answer_deadline;
  Result<Bytes> datagram = Bytes{};
  while (datagram && datagram->empty()) datagram = receive(end);  // what others send does not prolong it
  stale_ = !datagram;
  if (!datagram) return fail(datagram.error());
  const auto refused = [&](Error error) {
    if (outcome) outcome = fail(std::move(error));
  };
  MessageCursor messages(*datagram);
  while (const auto message = messages.next()) {
    const std::uint32_t index = message->header.nlmsg_seq - batch.first_sequence();
    if (index >= batch.count()) continue;
    if ((message->header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
      refused({Errc::interrupted, 0, name_ + ": the kernel changed during a dump"});
    if (message->header.nlmsg_type != NLMSG_ERROR && message->header.nlmsg_type != NLMSG_DONE) {
      visit(*message);
      continue;
    }
    if (const int error = error_of(*message); error != 0) refused({errc_of(error), error, name_});
    if (index + 1 == batch.count()) return false;
  }
  return true;
}

Result<void> Socket::receive_notifications(const Visit& visit) {
  for (;;) {
    const auto datagram = receive(Clock::time_point{});
    if (!datagram) {
      if (datagram.error().code == Errc::timed_out) return {};
      return fail(datagram.error());
    }
    MessageCursor messages(*datagram);
    while (const auto message = messages.next()) visit(*message);
  }
}

}  // namespace ipvsd::nl
