// The kernel of this network namespace, behind the Kernel interface: IPVS, links and sets as one.
#pragma once

#include <span>
#include <string_view>

#include "ipset/sets.hpp"
#include "model/kernel.hpp"
#include "netlink/ipvs.hpp"
#include "netlink/links.hpp"
#include "netlink/routes.hpp"
#include "netlink/set_reader.hpp"

namespace ipvsd {

// What IPVS, the sets and the rules use, the tables excepted: those of the backend that is not used must not appear.
[[nodiscard]] std::span<const std::string_view> needed_modules();

class LinuxKernel final : public Kernel {
 public:
  // Opens the three channels. Error: unsupported or denied, saying what is missing and how to get it.
  [[nodiscard]] static Result<LinuxKernel> open();

  Result<void> prepare() override;
  Result<void> unprepare() override;
  std::vector<Failure> execute(std::span<const Operation> operations) override;
  Result<KernelState> observe() override;
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override {
    return ipvs_.observe(key);
  }
  Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key) override {
    return ipvs_.destinations(key);
  }
  Result<bool> servers(std::size_t enough, std::vector<VirtualServer>& into) override {
    return ipvs_.next_virtual_servers(enough, into);
  }
  Result<std::vector<SetEntry>> members(IpSet set) override;
  Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) override {
    return reader_.next(set, enough, into);
  }
  Result<std::vector<LinkAddress>> addresses() override { return links_.addresses(); }
  Result<std::vector<LocalRoute>> routes() override;
  int notification_fd() const override { return links_.notification_fd(); }
  std::vector<Notification> notifications() override { return links_.notifications(); }

  [[nodiscard]] nl::Ipvs& ipvs() { return ipvs_; }
  [[nodiscard]] IpSets& sets() { return sets_; }

 private:
  LinuxKernel(nl::Ipvs ipvs, nl::Links links, nl::Routes routes, IpSets sets, nl::SetReader reader)
      : ipvs_(std::move(ipvs)),
        links_(std::move(links)),
        routes_(std::move(routes)),
        sets_(std::move(sets)),
        reader_(std::move(reader)) {}
  [[nodiscard]] std::vector<Failure> execute_routes(std::span<const Operation> operations);

  nl::Ipvs ipvs_;
  nl::Links links_;
  nl::Routes routes_;
  IpSets sets_;
  nl::SetReader reader_;
};

}  // namespace ipvsd
