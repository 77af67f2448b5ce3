// Files from outside: configuration, credentials, manifests.
#pragma once

#include <cstddef>
#include <string>

#include "model/result.hpp"

namespace ipvsd {

// All bytes of a regular file. Errors: not_found, denied; malformed where it is larger than `limit` or no regular file.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, std::size_t limit);

}  // namespace ipvsd
