// Between this process and the kernel's netlink sockets: sendto(), recvmsg() and recvmmsg() of this program, which
// libnl and libmnl (libipset's) call too. Calls on other sockets go through untouched. What waits for a late answer by
// poll() does not wait: clock_gettime() says afterwards that it has.
#pragma once

#include <cstdint>

namespace ipvsd::test {

// From now on one call in about `rate` goes wrong: a send fails with ENOBUFS, ENOMEM, EAGAIN or EINTR; a receive fails
// with ENOMEM or EINTR, the answers are dropped (ENOBUFS) or cut (MSG_TRUNC), or a dump says that it was interrupted,
// or (recvmmsg) the answer is late: within its deadline, after it, or after the next send.
void trouble_netlink(std::uint32_t seed, unsigned rate);
void calm_netlink();
[[nodiscard]] std::uint64_t netlink_faults();
[[nodiscard]] std::uint64_t late_answers();

}  // namespace ipvsd::test
