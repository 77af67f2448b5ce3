// What every benchmark that writes begins with.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <stdexcept>

#include "daemon/kernel/linux_kernel.hpp"

namespace ipvsd::bench {

[[noreturn]] inline void throw_error(const Error& error) { throw std::runtime_error(error.message()); }

// The kernel below this process: the null kernel where null_kernel.cpp is linked.
[[nodiscard]] inline LinuxKernel open_kernel() {
  auto kernel = LinuxKernel::open();
  if (!kernel) throw_error(kernel.error());
  return std::move(*kernel);
}

inline void warn(const std::string& text) { fmt::print(stderr, "{}\n", text); }

}  // namespace ipvsd::bench
