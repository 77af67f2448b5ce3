// Addresses as bind() and connect() take them.
#pragma once

#include <sys/socket.h>

#include "model/ip.hpp"

namespace ipvsd {

struct Sockaddr {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

[[nodiscard]] Sockaddr to_sockaddr(const IpAddress& address, Port port);

}  // namespace ipvsd
