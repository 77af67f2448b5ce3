// The base of kernels that stand before another one: passes everything on but what they override.
#pragma once

#include "model/kernel.hpp"

namespace ipvsd {

class ForwardingKernel : public Kernel {
 public:
  explicit ForwardingKernel(Kernel& inner) : inner_(inner) {}

  Result<void> prepare() override { return inner_.prepare(); }
  Result<void> unprepare() override { return inner_.unprepare(); }
  std::vector<Failure> execute(std::span<const Operation> operations) override { return inner_.execute(operations); }
  Result<KernelState> observe() override { return inner_.observe(); }
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override {
    return inner_.observe(key);
  }
  Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key) override {
    return inner_.destinations(key);
  }
  Result<bool> servers(std::size_t enough, std::vector<VirtualServer>& into) override {
    return inner_.servers(enough, into);
  }
  Result<std::vector<SetEntry>> members(IpSet set) override { return inner_.members(set); }
  Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) override {
    return inner_.members(set, enough, into);
  }
  Result<std::vector<LinkAddress>> addresses() override { return inner_.addresses(); }
  Result<std::vector<LocalRoute>> routes() override { return inner_.routes(); }
  int notification_fd() const override { return inner_.notification_fd(); }
  std::vector<Notification> notifications() override { return inner_.notifications(); }

 protected:
  Kernel& inner_;
};

}  // namespace ipvsd
