#include "os/sockaddr.hpp"

#include <netinet/in.h>

#include <cstring>

namespace ipvsd {

Sockaddr to_sockaddr(const IpAddress& address, Port port) {
  Sockaddr to;
  const auto bytes = address.bytes();
  if (address.family() == Family::ipv4) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(to.storage);
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(port.number);
    std::memcpy(&ipv4.sin_addr, bytes.data(), bytes.size());
    to.size = sizeof ipv4;
  } else {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(to.storage);
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port.number);
    std::memcpy(&ipv6.sin6_addr, bytes.data(), bytes.size());
    to.size = sizeof ipv6;
  }
  return to;
}

}  // namespace ipvsd
