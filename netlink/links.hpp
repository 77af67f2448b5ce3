// Links and addresses over rtnetlink: kube-ipvs0, what is bound to it, and what the node's other links carry.
//
// Source: uapi/linux/rtnetlink.h, if_link.h, if_addr.h.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "model/kernel.hpp"
#include "netlink/socket.hpp"

namespace ipvsd::nl {

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;  // IFLA_INFO_KIND: "dummy"; "" for hardware
  friend bool operator==(const Link&, const Link&) = default;
};

// Pure readers of a message behind its nlmsghdr. Error: malformed.
[[nodiscard]] Result<Link> decode_link(Bytes payload);
struct IndexedAddress {
  std::uint32_t index = 0;
  IpAddress address;
  std::uint8_t prefix = 0;
  friend bool operator==(const IndexedAddress&, const IndexedAddress&) = default;
};
// Empty for an address family that is neither IPv4 nor IPv6.
[[nodiscard]] Result<std::optional<IndexedAddress>> decode_address(Bytes payload);

// One thread.
class Links {
 public:
  // Subscribes to notifications at once, so that nothing between this and the first look is missed.
  [[nodiscard]] static Result<Links> open();

  // Makes the dummy link exist. It stays down: a down dummy's addresses are local all the same. From then on addresses
  // that appear on it are not announced: they are ours, ten thousand at a start. Error: unsupported without the dummy
  // module, already_exists where a link of that name is of another kind.
  [[nodiscard]] Result<void> create_dummy(std::string_view name);
  // not_found is success. Refuses to delete what is no dummy (denied).
  [[nodiscard]] Result<void> remove_dummy(std::string_view name);

  // Binds (/32, /128, IPv6 without duplicate address detection) and unbinds addresses of the link `name`, batched; what
  // is already so counts as done. Every target must be a BoundAddress.
  [[nodiscard]] std::vector<Failure> execute(std::string_view name, std::span<const Operation> operations);

  // Every address of every link.
  [[nodiscard]] Result<std::vector<LinkAddress>> addresses();
  // Whether there was a link of that name when links were last looked at: open(), addresses() and notifications() do.
  // Asking by SIOCGIFINDEX (if_nametoindex) makes the kernel run modprobe where there is none.
  [[nodiscard]] bool has(std::string_view name) const;

  // From now on the removal of one of our routes is announced, too. Not before there is one: the kernel announces a
  // route with each address.
  [[nodiscard]] Result<void> watch_routes();

  [[nodiscard]] int notification_fd() const { return events_.fd(); }
  [[nodiscard]] std::vector<Notification> notifications();

 private:
  Links(Socket requests, Socket events) : requests_(std::move(requests)), events_(std::move(events)), batch_(0) {}
  [[nodiscard]] Result<std::vector<Link>> dump_links();
  void ignore_our_doings(std::uint32_t link);
  [[nodiscard]] Result<Link> get(std::string_view name);

  Socket requests_;
  Socket events_;
  Batch batch_;
  bool watches_routes_ = false;
  std::vector<Link> links_;  // names for the indexes in notifications
};

}  // namespace ipvsd::nl
