// The size of the kernel's connection tracking hash table, which belongs to nf_conntrack_max.
#pragma once

#include <cstdint>
#include <string>

#include "model/result.hpp"

namespace ipvsd {

// Raises the table to a quarter of `conntrack_max` buckets if it has fewer; never lowers it. Errors: denied with EROFS
// where /sys is mounted read-only; what the write answered (a network namespace other than the first may not);
// not_found without the module. `root` stands before /sys and /proc in tests.
[[nodiscard]] Result<void> raise_conntrack_hash(std::uint64_t conntrack_max, const std::string& root = "");

}  // namespace ipvsd
