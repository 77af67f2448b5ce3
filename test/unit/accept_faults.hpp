// accept4(2) of this process as the kernel of a node that is short of something. Only an executable that has
// accept_faults.cpp among its sources.
#pragma once

namespace ipvsd::test {

// The next `times` calls fail with `sys_errno`, whatever their socket; the client stays in its queue.
void fail_accepts(int times, int sys_errno);

}  // namespace ipvsd::test
