// Which kernel the contract suite runs against: the fake or the real one, decided by what is linked.
#pragma once

#include <memory>

#include "model/kernel.hpp"

namespace ipvsd::test {

// An empty kernel, prepared.
[[nodiscard]] std::unique_ptr<Kernel> make_kernel();

}  // namespace ipvsd::test
