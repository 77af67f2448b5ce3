// An operator new that counts, for executables that link allocations.cpp.
#pragma once

#include <cstdint>

namespace ipvsd::bench {

// Calls of operator new so far, by all threads.
[[nodiscard]] std::uint64_t allocations();

}  // namespace ipvsd::bench
