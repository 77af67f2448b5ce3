// Kernel modules, loaded ahead of need.
#pragma once

#include <span>
#include <string_view>

namespace ipvsd {

// Loads those of the modules that are not loaded yet, in one run of modprobe: the kernel would load each by itself at
// its first use, and run a modprobe of its own for every one. Without modprobe or without the right to load (a
// container) nothing happens; what is missing then shows at its use. May take a second.
void load_modules(std::span<const std::string_view> names);

}  // namespace ipvsd
