// A kernel that is looked at and never written to: --dry-run.
#pragma once

#include <functional>

#include "model/forwarding_kernel.hpp"

namespace ipvsd {

// Passes observations through and hands every operation to `show` instead of executing it.
class DryRunKernel final : public ForwardingKernel {
 public:
  using Show = std::function<void(const Operation&)>;
  DryRunKernel(Kernel& kernel, Show show) : ForwardingKernel(kernel), show_(std::move(show)) {}

  Result<void> prepare() override { return {}; }
  Result<void> unprepare() override { return {}; }
  std::vector<Failure> execute(std::span<const Operation> operations) override {
    for (const auto& operation : operations) show_(operation);
    return {};
  }

 private:
  Show show_;
};

}  // namespace ipvsd
