// A kernel that is looked at and never written to: --dry-run.
#pragma once

#include <functional>

#include "model/kernel.hpp"

namespace ipvsd {

// Passes observations through and hands every operation to `show` instead of executing it.
class DryRunKernel final : public Kernel {
 public:
  using Show = std::function<void(const Operation&)>;
  DryRunKernel(Kernel& kernel, Show show) : kernel_(kernel), show_(std::move(show)) {}

  Result<void> prepare() override { return {}; }
  Result<void> unprepare() override { return {}; }
  std::vector<Failure> execute(std::span<const Operation> operations) override {
    for (const auto& operation : operations) show_(operation);
    return {};
  }
  Result<KernelState> observe() override { return kernel_.observe(); }
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override {
    return kernel_.observe(key);
  }
  Result<std::vector<SetEntry>> members(IpSet set) override { return kernel_.members(set); }
  Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) override {
    return kernel_.members(set, enough, into);
  }
  Result<std::vector<LinkAddress>> addresses() override { return kernel_.addresses(); }
  Result<std::vector<LocalRoute>> routes() override { return kernel_.routes(); }
  int notification_fd() const override { return kernel_.notification_fd(); }
  std::vector<Notification> notifications() override { return kernel_.notifications(); }

 private:
  Kernel& kernel_;
  Show show_;
};

}  // namespace ipvsd
