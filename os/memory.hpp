// What is told when memory has run out.
#pragma once

namespace ipvsd {

// From now on an allocation that fails says on standard error how much there is and which limits are set, at most once
// a minute, and throws std::bad_alloc as ever. A cgroup's limit does not come this way: the kernel kills the process.
void tell_when_memory_runs_out();

}  // namespace ipvsd
