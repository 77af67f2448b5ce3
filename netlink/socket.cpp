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

// Behind MAX_ERRNO (4095, include/linux/err.h) come the codes of ipset (IPSET_ERR_PRIVATE); what is far beyond is none.
constexpr std::int32_t max_error = 0xffff;

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
  if (!error || *error >= 0) return 0;
  return *error < -max_error ? EPROTO : -*error;
}

void Socket::Close::operator()(nl_sock* socket) const { ::nl_socket_free(socket); }

Socket::Socket(std::unique_ptr<nl_sock, Close> socket, std::string name)
    : socket_(std::move(socket)), name_(std::move(name)), buffer_(new std::uint8_t[datagram_count * datagram_limit]) {}

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
    Deadline none{std::chrono::milliseconds(0)};
    const auto datagram = receive(none);
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

std::chrono::milliseconds Socket::Deadline::left() {
  const auto now = std::chrono::steady_clock::now();
  if (!end_) end_ = now + patience_;
  return std::chrono::ceil<std::chrono::milliseconds>(*end_ - now);
}

Result<Bytes> Socket::receive(Deadline& deadline) {
  const auto some = receive_some(deadline, 1);
  if (!some) return fail(some.error());
  return some->front();
}

// The kernel writes the next piece of a dump when one has been taken, so that a call which asks for several gets a
// short dump whole: its entries and its end.
Result<std::span<const Bytes>> Socket::receive_some(Deadline& deadline, std::size_t limit) {
  std::array<sockaddr_nl, datagram_count> from{};
  std::array<iovec, datagram_count> vectors{};
  std::array<mmsghdr, datagram_count> messages{};
  for (std::size_t i = 0; i < limit; ++i) {
    vectors[i] = {buffer_.get() + i * datagram_limit, datagram_limit};
    messages[i].msg_hdr.msg_name = &from[i];
    messages[i].msg_hdr.msg_namelen = sizeof from[i];
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (;;) {
    const int count = ::recvmmsg(fd(), messages.data(), static_cast<unsigned>(limit), MSG_DONTWAIT, nullptr);
    for (int slot = 0; slot < count; ++slot) {
      const auto i = static_cast<std::size_t>(slot);
      if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0)
        return fail(Errc::overrun, fmt::format("{}: an answer is longer than {} bytes", name_, datagram_limit));
      // Any process may write to us; only the kernel has port 0.
      datagrams_[i] = from[i].nl_pid != 0 ? Bytes{} : Bytes(buffer_.get() + i * datagram_limit, messages[i].msg_len);
    }
    if (count > 0) return std::span<const Bytes>(datagrams_).first(static_cast<std::size_t>(count));
    if (errno == EINTR) continue;
    if (errno == ENOBUFS) return fail_errno(ENOBUFS, name_ + ": the kernel dropped answers");
    if (errno != EAGAIN) return fail_errno(errno, name_ + ": receive");
    const auto left = deadline.left();
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

  Deadline deadline(answer_deadline);
  for (;;) {
    const auto datagram = receive(deadline);
    stale_ = !datagram;
    if (!datagram) {
      // Whatever kept the answers from us: the kernel has worked the batch off.
      Error error = datagram.error();
      if (error.code != Errc::timed_out) error.code = Errc::overrun;
      return all_from(0, error);
    }
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

// What has arrived; true if the last request has more to say. What the kernel refuses goes into `outcome`.
Result<bool> Socket::read_answers(const Batch& batch, const Visit& visit, Result<void>& outcome) {
  Deadline deadline(answer_deadline);
  const auto foreign = [](std::span<const Bytes> some) {
    return std::all_of(some.begin(), some.end(), [](const Bytes& datagram) { return datagram.empty(); });
  };
  auto datagrams = receive_some(deadline, datagram_count);
  while (datagrams && foreign(*datagrams))  // what others send does not prolong it
    datagrams = receive_some(deadline, datagram_count);
  stale_ = !datagrams;
  if (!datagrams) return fail(datagrams.error());
  const auto refused = [&](Error error) {
    if (outcome) outcome = fail(std::move(error));
  };
  for (const auto datagram : *datagrams) {
    MessageCursor messages(datagram);
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
  }
  return true;
}

Result<void> Socket::receive_notifications(const Visit& visit) {
  for (;;) {
    Deadline none{std::chrono::milliseconds(0)};
    const auto datagram = receive(none);
    if (!datagram) {
      if (datagram.error().code == Errc::timed_out) return {};
      return fail(datagram.error());
    }
    MessageCursor messages(*datagram);
    while (const auto message = messages.next()) visit(*message);
  }
}

}  // namespace ipvsd::nl
