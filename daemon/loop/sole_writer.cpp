#include "daemon/loop/sole_writer.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace ipvsd {

std::optional<std::string> SoleWriter::claim() {
  if (!claim_) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // The zero byte in front makes it abstract.
    name_.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0)
      return errno == EADDRINUSE ? "another kube-ipvsd runs in this network namespace"
                                 : std::string("the claim cannot be made: ") + std::strerror(errno);
    claim_ = std::move(socket);
  }
  return other_proxy_();
}

}  // namespace ipvsd
