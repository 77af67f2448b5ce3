#include "daemon/loop/sole_writer.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace ipvsd {

std::optional<std::string> SoleWriter::claim() {
  if (!name_) {
    constexpr std::string_view name("\0kube-ipvsd", 11);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), address.sun_path);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0)
      return errno == EADDRINUSE ? "another kube-ipvsd runs in this network namespace"
                                 : std::string("the claim cannot be made: ") + std::strerror(errno);
    name_ = std::move(socket);
  }
  return other_proxy_();
}

}  // namespace ipvsd
