// A kernel in memory that is exactly as strict as the real one: the contract suite runs against both.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "model/kernel.hpp"
#include "os/fd.hpp"

namespace ipvsd::test {

// A kernel's state as sorted text, one line for each object: what the golden files hold.
[[nodiscard]] std::string text_of(KernelState state);

class FakeKernel final : public Kernel {
 public:
  FakeKernel();

  Result<void> prepare() override;
  Result<void> unprepare() override;
  std::vector<Failure> execute(std::span<const Operation> operations) override;
  Result<KernelState> observe() override;
  Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) override;
  Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key) override;
  Result<bool> servers(std::size_t enough, std::vector<VirtualServer>& into) override;
  Result<std::vector<SetEntry>> members(IpSet set) override;
  Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) override;
  Result<std::vector<LinkAddress>> addresses() override;
  Result<std::vector<LocalRoute>> routes() override;
  int notification_fd() const override { return event_.get(); }
  std::vector<Notification> notifications() override;

  // --- what a test does to it ---------------------------------------------------------------------------------------
  // Asked before each operation; an error makes it fail. The second flag of a fault says whether it happens
  // nevertheless (an acknowledgement that was lost).
  struct Fault {
    Error error;
    bool takes_effect = false;
  };
  std::function<std::optional<Fault>(const Operation&)> fault;

  void add_node_address(const std::string& link, const std::string& address, std::uint8_t prefix);
  void remove_node_address(const std::string& link, const std::string& address);
  void set_connections(const VirtualServerKey& server, const DestinationKey& destination, std::uint32_t active);
  // Somebody else's change; announced as the kernel would.
  void foreign(const Operation& operation);
  void lose_notifications() { pending_ = {ChangesLost{}}; }
  void remove_link();

  // Every operation since the last call, failed ones included.
  [[nodiscard]] std::vector<Operation> take_log();
  std::size_t observations = 0;  // of calls that read
  std::size_t calls = 0;         // of execute()

  // text_of() all of it.
  [[nodiscard]] std::string text() const;

 private:
  struct Row {
    VirtualServer server;
    std::map<DestinationKey, ObservedDestination> destinations;
  };
  [[nodiscard]] Result<void> perform(const Operation& operation);
  [[nodiscard]] Result<void> perform(Verb verb, const VirtualServer& server);
  [[nodiscard]] Result<void> perform(Verb verb, const DestinationOf& of);
  [[nodiscard]] Result<void> perform(Verb verb, const BoundAddress& bound);
  [[nodiscard]] Result<void> perform(Verb verb, const SetEntry& entry);
  [[nodiscard]] Result<void> perform(Verb verb, const LocalRoute& route);
  [[nodiscard]] KernelState state() const;

  bool prepared_ = false;
  std::map<VirtualServerKey, Row> servers_;
  std::optional<VirtualServerKey> listed_;  // the last one of a listing that is under way
  std::set<IpAddress> bound_;
  std::map<Cidr, LocalRoute> routes_;
  std::set<SetEntry> entries_;
  std::set<LinkAddress> node_addresses_;
  std::vector<Notification> pending_;
  std::vector<Operation> log_;
  Fd event_;
};

}  // namespace ipvsd::test
