// Local routes on kube-ipvs0 over rtnetlink: a route of type local makes each address of a CIDR the node's own, at the
// price of one message. Ours are told by their protocol number and metric; nobody else's is ever read or written.
//
// Source: uapi/linux/rtnetlink.h. IPv6 takes a route on a link that is up only (fib6_nh_init, ENETDOWN), and loses it
// when the link goes down; IPv4 does not care. But with the last IPv4 address of a link all its IPv4 routes go, without
// a notification (fib_disable_ip). So with IPv4 routes the link has an address of its own that never goes: 127.107.0.1,
// local anyway, and of scope host, so that it is nobody's source address.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "model/kernel.hpp"
#include "netlink/socket.hpp"

namespace ipvsd::nl {

// `ip route show table local proto 107`. Not in iproute2's list of those in use.
inline constexpr std::uint8_t route_protocol = 107;
// So that a route of somebody else's to the same CIDR is another one, also to NLM_F_REPLACE.
inline constexpr std::uint32_t route_metric = 107;

// Pure reader of a message behind its nlmsghdr; empty for a route that is not ours. Error: malformed.
[[nodiscard]] Result<std::optional<LocalRoute>> decode_route(Bytes payload);

// One thread.
class Routes {
 public:
  [[nodiscard]] static Result<Routes> open();

  // Adds, replaces and removes routes on the link `link`, which is set up before anything is added, without an IPv6
  // link-local address, and with the address that holds IPv4 routes; that goes with the last of them. What is already
  // so counts as done. Every target must be a LocalRoute.
  [[nodiscard]] std::vector<Failure> execute(std::string_view link, std::span<const Operation> operations);

  // Removes the address that holds IPv4 routes where it holds none: one who was killed may have left it. Best effort:
  // it is in nobody's way.
  void remove_idle_anchor(std::string_view link);

  // Ours on this link; none where there is no such link.
  [[nodiscard]] Result<std::vector<LocalRoute>> list(std::string_view link);

 private:
  explicit Routes(Socket socket) : socket_(std::move(socket)), batch_(0) {}
  [[nodiscard]] Result<void> set_up(std::uint32_t link);
  void add_anchor(std::uint16_t type, std::uint32_t link);
  void remove_idle_anchor(std::uint32_t link);
  [[nodiscard]] Result<std::vector<LocalRoute>> list_once(std::uint32_t link);

  Socket socket_;
  Batch batch_;
};

}  // namespace ipvsd::nl
