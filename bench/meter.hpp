// What a piece of work used: CPU and wall time, page faults, allocations.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace ipvsd::bench {

struct Usage {
  double cpu = 0;   // seconds, all threads
  double wall = 0;  // seconds
  std::uint64_t page_faults = 0;
  std::uint64_t allocations = 0;  // calls of operator new, by all threads

  friend Usage operator-(const Usage& a, const Usage& b) {
    return {a.cpu - b.cpu, a.wall - b.wall, a.page_faults - b.page_faults, a.allocations - b.allocations};
  }
};
[[nodiscard]] Usage usage();

// CPU seconds of one thread.
[[nodiscard]] double thread_cpu(pthread_t thread);

// Resident set in MiB, as it is.
[[nodiscard]] double resident_mib();
// What it was at most since the process began.
[[nodiscard]] double peak_resident_mib();

}  // namespace ipvsd::bench
