// Between this process and the kernel's netlink sockets: sendto(), recvmsg() and recvmmsg() of this program, which
// libnl and libmnl (libipset's) call too. Calls on other sockets go through untouched.
#pragma once

#include <cstdint>

namespace ipvsd::test {

// From now on one call in about `rate` goes wrong: a send fails with ENOBUFS, ENOMEM, EAGAIN or EINTR; a receive fails
// with ENOMEM or EINTR, the answers are dropped (ENOBUFS) or cut (MSG_TRUNC), or a dump says that it was interrupted.
void trouble_netlink(std::uint32_t seed, unsigned rate);
void calm_netlink();
[[nodiscard]] std::uint64_t netlink_faults();

}  // namespace ipvsd::test
