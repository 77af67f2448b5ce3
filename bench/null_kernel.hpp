// A kernel that acknowledges at once and remembers nothing, below every netlink socket of the process that links
// null_kernel.cpp: it takes the place of libc's socket functions, so that encoding, libnl, libipset and the reading of
// acknowledgements are all in what is measured, and nothing of production code knows of it.
//
// It answers what a start asks: the generic netlink family IPVS, the dummy link kube-ipvs0, ipset's protocol and types.
// Dumps are empty. One thread at a time per socket.
#pragma once

#include <cstdint>

namespace ipvsd::bench {

struct NetlinkCalls {
  std::uint64_t sends = 0;
  std::uint64_t receives = 0;
  std::uint64_t messages = 0;  // in what was sent
  std::uint64_t bytes = 0;
  std::uint64_t dumps = 0;
};
// Since the start of the process.
[[nodiscard]] NetlinkCalls netlink_calls();

}  // namespace ipvsd::bench
