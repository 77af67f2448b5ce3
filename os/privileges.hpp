// What the process may do, given away for good.
#pragma once

#include <cstdint>
#include <vector>

#include "model/result.hpp"

namespace ipvsd {

// Capabilities by their numbers in linux/capability.h.
enum class Capability : std::uint8_t { net_bind_service = 10, net_admin = 12, net_raw = 13 };

// No core file is written of this process, and only a process with CAP_SYS_PTRACE looks into its memory: there may be
// a token or a private key in it. Programs that it runs are as usual again (prctl(2), PR_SET_DUMPABLE).
void keep_memory_private();

// Keeps of the capabilities of this thread those named, as far as it has them, and lets neither it nor the programs
// that it runs gain any (capset(2), no_new_privs). To be called before threads are started: each has capabilities of
// its own, and inherits its maker's. Idempotent. Error: whatever the kernel refuses; what was dropped until then
// stays so.
[[nodiscard]] Result<void> drop_capabilities(const std::vector<Capability>& keep);

}  // namespace ipvsd
