#include "ctl/probe.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "os/fd.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::size_t limit = 256;

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
  if (error == 0) attempt.result = ProbeResult::answers;
  if (error == ECONNREFUSED) attempt.result = ProbeResult::refuses;
}

}  // namespace

std::map<DestinationKey, ProbeResult> probe(const std::vector<DestinationKey>& backends, Protocol protocol,
                                            std::chrono::milliseconds deadline) {
  std::vector<Attempt> attempts;
  if (protocol != Protocol::tcp) return {};
  for (const auto& backend : backends) {
    if (attempts.size() == limit) break;
    auto& attempt = attempts.emplace_back();
    attempt.backend = backend;
    attempt.fd = Fd(::socket(to_af(backend.address.family()), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (start_connecting(attempt.fd, backend) == 0)
      finish(attempt, 0);
    else if (errno != EINPROGRESS)
      finish(attempt, errno);
  }
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    std::vector<pollfd> fds;
    std::vector<Attempt*> waiting;
    for (auto& attempt : attempts)
      if (!attempt.done) {
        fds.push_back({attempt.fd.get(), POLLOUT, 0});
        waiting.push_back(&attempt);
      }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (fds.empty() || left <= 0 || (::poll(fds.data(), fds.size(), static_cast<int>(left)) < 0 && errno != EINTR))
      break;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
      finish(*waiting[i], error);
    }
  }
  std::map<DestinationKey, ProbeResult> results;
  for (const auto& attempt : attempts) results[attempt.backend] = attempt.result;
  return results;
}

}  // namespace ipvsd::ctl
