// A kernel behind which things go wrong, by seed: around the fake one or the real one.
#pragma once

#include <functional>
#include <random>

#include "model/forwarding_kernel.hpp"

namespace ipvsd::test {

// What can happen, as the kernel and netlink let it happen:
// - an operation is refused: ENOMEM, EBUSY, EPERM, ENOSPC, EAGAIN, EINTR;
// - the answers from some operation of a batch on are lost (ENOBUFS), or none comes in time; up to some later one they
//   took effect;
// - somebody else was quicker, so that it is EEXIST, ENOENT or ESRCH, and what is there is what he wanted;
// - a listing fails, is interrupted, or leaves something out without saying so: destinations and set members, and at
//   the start virtual servers that we look for by their set entries;
// - notifications are lost; the link and the sets cannot be made.
class FaultyKernel final : public ForwardingKernel {
 public:
  using ForwardingKernel::ForwardingKernel;

  // From now on one call in about `rate` goes wrong.
  void trouble(std::uint32_t seed, unsigned rate);
  void calm() { rate_ = 0; }
  [[nodiscard]] std::uint64_t injected() const { return injected_; }
  // Told each operation before it is carried out or not.
  std::function<void(const Operation&)> seen;

  Result<void> prepare() override;
  std::vector<Failure> execute(std::span<const Operation> operations) override;
  Result<KernelState> observe() override;
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override;
  Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key) override;
  Result<bool> servers(std::size_t enough, std::vector<VirtualServer>& into) override;
  Result<std::vector<SetEntry>> members(IpSet set) override;
  Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) override;
  Result<std::vector<LinkAddress>> addresses() override;
  Result<std::vector<LocalRoute>> routes() override;
  std::vector<Notification> notifications() override;

 private:
  [[nodiscard]] bool strikes(unsigned rarer = 1);
  [[nodiscard]] unsigned below(unsigned end) { return static_cast<unsigned>(random_() % end); }
  [[nodiscard]] std::optional<Error> listing_fails(const char* what);
  void be_quicker(const Operation& operation);
  template <class T>
  void leave_out(std::vector<T>& from);

  std::mt19937 random_;
  unsigned rate_ = 0;
  std::uint64_t injected_ = 0;
};

}  // namespace ipvsd::test
