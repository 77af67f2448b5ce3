// The kernel's IPVS over generic netlink.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "netlink/ipvs_codec.hpp"
#include "netlink/socket.hpp"

namespace ipvsd::nl {

// One thread.
class Ipvs {
 public:
  // Finds the family, loading ip_vs if need be. Error: unsupported where the kernel has none, saying how to get it.
  [[nodiscard]] static Result<Ipvs> open();

  // Virtual servers and destinations in order, as many to a send as fit; strict, as Kernel::execute. Every target must
  // be one of the two.
  [[nodiscard]] std::vector<Failure> execute(std::span<const Operation> operations);

  // Visits every virtual server, then returns. The dump is no snapshot: what changes meanwhile may be left out.
  [[nodiscard]] Result<void> dump_virtual_servers(const std::function<void(const VirtualServerRecord&)>& visit);
  // Visits the destinations of one; none if the virtual server does not exist.
  [[nodiscard]] Result<void> dump_destinations(const VirtualServerKey& key,
                                               const std::function<void(const DestinationRecord&)>& visit);
  // The same in pieces, beside other calls: appends the next virtual servers to `into`, `enough` or some more; true if
  // there are more to come. After an end or an error it begins at the beginning.
  [[nodiscard]] Result<bool> next_virtual_servers(std::size_t enough, std::vector<VirtualServer>& into);
  [[nodiscard]] Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key);
  // Error: not_found.
  [[nodiscard]] Result<VirtualServerRecord> get(const VirtualServerKey& key);
  // One virtual server and its destinations, asked for in one send; empty if it does not exist.
  [[nodiscard]] Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key);

  [[nodiscard]] Result<Timeouts> timeouts();
  [[nodiscard]] Result<void> set_timeouts(const Timeouts& timeouts);

  // Makes sure the kernel has the scheduler, by a virtual server on a documentation address (RFC 5737) that is removed
  // at once; the first use loads the module, so this may take a moment. Error: unsupported, naming the module.
  [[nodiscard]] Result<void> probe_scheduler(std::string_view name);

 private:
  Ipvs(Socket socket, Socket lister, std::uint16_t family_id)
      : socket_(std::move(socket)), family_id_(family_id), batch_(0), lister_(std::move(lister)), listing_(0) {}

  Socket socket_;
  std::uint16_t family_id_;
  Batch batch_;
  Socket lister_;  // a dump that is under way keeps its socket busy
  Batch listing_;
  bool listing_open_ = false;
};

}  // namespace ipvsd::nl
