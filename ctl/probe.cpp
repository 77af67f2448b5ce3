#include "ctl/probe.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "os/fd.hpp"

namespace ipvsd::ctl {
namespace {

struct Attempt {
  DestinationKey backend;
  Fd fd;
  ProbeResult result = ProbeResult::silent;
  bool done = false;
};

int start_connecting(const Fd& fd, const DestinationKey& backend) {
  sockaddr_storage to{};
  const auto bytes = backend.address.bytes();
  if (backend.address.family() == Family::ipv4) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(to);
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(backend.port.number);
    std::memcpy(&ipv4.sin_addr, bytes.data(), bytes.size());
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&ipv4), sizeof ipv4);
  }
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(to);
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(backend.port.number);
  std::memcpy(&ipv6.sin6_addr, bytes.data(), bytes.size());
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&ipv6), sizeof ipv6);
}

void finish(Attempt& attempt, int error) {
  attempt.done = true;
  switch (error) {
    case 0: attempt.result = ProbeResult::answers; break;
    case ECONNREFUSED: attempt.result = ProbeResult::refuses; break;
    case ETIMEDOUT: attempt.result = ProbeResult::silent; break;
    default: attempt.result = ProbeResult::unreachable; break;  // no route, no neighbour, or an ICMP error that says so
  }
}

void start(Attempt& attempt, Protocol protocol) {
  const bool datagram = protocol == Protocol::udp;
  if (datagram) attempt.result = ProbeResult::unknown;
  attempt.fd =
      Fd(::socket(to_af(attempt.backend.address.family()),
                  (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, static_cast<int>(protocol)));
  const int connected = start_connecting(attempt.fd, attempt.backend);
  if (connected != 0 && errno != EINPROGRESS) return finish(attempt, errno);
  if (!datagram) {
    if (connected == 0) finish(attempt, 0);
    return;
  }
  if (::send(attempt.fd.get(), nullptr, 0, MSG_NOSIGNAL) < 0) finish(attempt, errno);
}

// What the kernel has to say of it by now.
void look(Attempt& attempt, Protocol protocol) {
  int error = 0;
  if (protocol == Protocol::udp) {
    std::array<char, 1> byte{};
    if (::recv(attempt.fd.get(), byte.data(), byte.size(), MSG_DONTWAIT) < 0) error = errno;
    if (error == EAGAIN) return;
  } else {
    socklen_t size = sizeof error;
    ::getsockopt(attempt.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  finish(attempt, error);
}

void wait_for(std::vector<Attempt>& attempts, Protocol protocol, std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  const short events = protocol == Protocol::udp ? POLLIN : POLLOUT;
  for (;;) {
    std::vector<pollfd> fds;
    std::vector<Attempt*> waiting;
    for (auto& attempt : attempts)
      if (!attempt.done) {
        fds.push_back({attempt.fd.get(), events, 0});
        waiting.push_back(&attempt);
      }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (fds.empty() || left <= 0 || (::poll(fds.data(), fds.size(), static_cast<int>(left)) < 0 && errno != EINTR))
      return;
    for (std::size_t i = 0; i < fds.size(); ++i)
      if (fds[i].revents != 0) look(*waiting[i], protocol);
  }
}

}  // namespace

std::map<DestinationKey, ProbeResult> probe(const std::vector<DestinationKey>& backends, Protocol protocol,
                                            std::chrono::milliseconds deadline) {
  // Opening a socket of it would load it.
  const bool untried = protocol == Protocol::sctp && ::access("/proc/net/sctp", F_OK) != 0;
  std::vector<Attempt> attempts;
  for (const auto& backend : backends) {
    if (attempts.size() == probe_limit) break;
    auto& attempt = attempts.emplace_back();
    attempt.backend = backend;
    if (untried) {
      attempt.result = ProbeResult::untried;
      attempt.done = true;
    } else {
      start(attempt, protocol);
    }
  }
  wait_for(attempts, protocol, deadline);
  std::map<DestinationKey, ProbeResult> results;
  for (const auto& attempt : attempts) results[attempt.backend] = attempt.result;
  return results;
}

}  // namespace ipvsd::ctl
