// Which system calls of a traced program can change something outside of it.
#pragma once

#include <sys/types.h>

// Of a thread that is stopped at the entry of a call: false if the call is known to change only what ends with the
// process (its memory, threads, descriptors, sockets, timers) or nothing at all. Any call that is not known to be of
// that kind, or whose arguments cannot be read, counts as one that can change something: that is the safe side.
//
// Known by its number, or by its arguments: an open for reading, a write to an eventfd, a new thread, an option of the
// socket itself, netlink requests that only ask for a dump. A module or an empty table that the kernel has from the
// first look at it on is not counted as a change.
[[nodiscard]] bool may_change_outside(pid_t thread);
