#include "netlink/links.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "netlink/routes.hpp"
#include "os/modules.hpp"

namespace ipvsd::nl {
namespace {

// A dump that a change disturbed is repeated this often.
constexpr int dump_attempts = 5;

std::string text_of(Bytes payload) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  return std::string(text.substr(0, text.find('\0')));
}

std::string_view name_of(const std::vector<Link>& links, std::uint32_t index) {
  const auto link = std::find_if(links.begin(), links.end(), [&](const Link& l) { return l.index == index; });
  return link == links.end() ? std::string_view{} : std::string_view{link->name};
}

template <class T>
Result<T> repeat_interrupted(const std::function<Result<T>()>& attempt) {
  for (int i = 1;; ++i) {
    auto result = attempt();
    if (result || result.error().code != Errc::interrupted || i == dump_attempts) return result;
  }
}

}  // namespace

Result<Link> decode_link(Bytes payload) {
  const auto header = load<ifinfomsg>(payload);
  if (!header) return fail(Errc::malformed, fmt::format("rtnetlink: a link of {} bytes", payload.size()));
  Link link;
  link.index = static_cast<std::uint32_t>(header->ifi_index);
  AttributeCursor cursor(payload.subspan(std::min(payload.size(), std::size_t{NLMSG_ALIGN(sizeof(ifinfomsg))})));
  while (const auto attribute = cursor.next()) {
    if (attribute->type == IFLA_IFNAME) link.name = text_of(attribute->payload);
    if (attribute->type != IFLA_LINKINFO) continue;
    AttributeCursor nested(attribute->payload);
    while (const auto part = nested.next())
      if (part->type == IFLA_INFO_KIND) link.kind = text_of(part->payload);
  }
  if (cursor.malformed()) return fail(Errc::malformed, "rtnetlink: a link's attributes do not fit");
  return link;
}

Result<std::optional<IndexedAddress>> decode_address(Bytes payload) {
  const auto header = load<ifaddrmsg>(payload);
  if (!header) return fail(Errc::malformed, fmt::format("rtnetlink: an address of {} bytes", payload.size()));
  const auto family = family_of_af(header->ifa_family);
  if (!family) return std::optional<IndexedAddress>{};
  std::optional<IpAddress> local;
  std::optional<IpAddress> peer;
  AttributeCursor cursor(payload.subspan(std::min(payload.size(), std::size_t{NLMSG_ALIGN(sizeof(ifaddrmsg))})));
  while (const auto attribute = cursor.next()) {
    if (attribute->type != IFA_LOCAL && attribute->type != IFA_ADDRESS) continue;
    const auto address = IpAddress::from_bytes(*family, attribute->payload);
    if (!address) return fail(address.error().within("rtnetlink"));
    (attribute->type == IFA_LOCAL ? local : peer) = *address;
  }
  if (cursor.malformed() || (!local && !peer))
    return fail(Errc::malformed, "rtnetlink: an address's attributes do not fit");
  // IFA_ADDRESS is the peer's on a point-to-point link; IPv6 has IFA_LOCAL only there.
  return IndexedAddress{header->ifa_index, local ? *local : *peer, header->ifa_prefixlen};
}

Result<Links> Links::open() {
  auto events = Socket::open(NETLINK_ROUTE, "rtnetlink notifications");
  if (!events) return fail(events.error());
  for (const int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR})
    if (const auto joined = events->join(group); !joined) return fail(joined.error());
  auto requests = Socket::open(NETLINK_ROUTE, "rtnetlink");
  if (!requests) return fail(requests.error());
  Links links(std::move(*requests), std::move(*events));
  auto known = links.dump_links();
  if (!known) return fail(known.error());
  links.links_ = std::move(*known);
  return links;
}

Result<std::vector<Link>> Links::dump_links() {
  return repeat_interrupted<std::vector<Link>>([this]() -> Result<std::vector<Link>> {
    std::vector<Link> links;
    batch_.reset(requests_.next_sequence());
    batch_.begin(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    const auto done = requests_.query(batch_, [&](const Message& message) {
      if (auto link = decode_link(message.payload)) links.push_back(std::move(*link));
    });
    if (!done) return fail(done.error().within("list links"));
    return links;
  });
}

Result<Link> Links::get(std::string_view name) {
  batch_.reset(requests_.next_sequence());
  batch_.begin(RTM_GETLINK, 0, ifinfomsg{});
  batch_.attribute(IFLA_IFNAME, name);
  Result<Link> found = fail(Errc::not_found, fmt::format("link {}", name));
  const auto done = requests_.query(batch_, [&](const Message& message) { found = decode_link(message.payload); });
  if (!done) return fail(done.error().within(fmt::format("link {}", name)));
  return found;
}

Result<void> Links::create_dummy(std::string_view name) {
  const auto create = [&]() -> Result<void> {
    batch_.reset(requests_.next_sequence());
    batch_.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    batch_.attribute(IFLA_IFNAME, name);
    const auto info = batch_.begin_nested(IFLA_LINKINFO);
    batch_.attribute(IFLA_INFO_KIND, std::string_view("dummy"));
    batch_.end_nested(info);
    const auto failures = requests_.transact(batch_);
    if (failures.empty() || failures.front().error.code == Errc::already_exists) return {};
    return fail(failures.front().error);
  };
  auto created = create();
  if (!created && created.error().code == Errc::unsupported) {
    load_modules(std::array{std::string_view("dummy")});
    created = create();
  }
  if (!created && created.error().code == Errc::unsupported)
    return fail(created.error().within(fmt::format("create link {}: no module dummy; try modprobe dummy", name)));
  if (!created) return fail(created.error().within(fmt::format("create link {}", name)));
  const auto link = get(name);
  if (!link) return fail(link.error());
  if (link->kind != "dummy")
    return fail(Errc::already_exists, fmt::format("link {} exists and is no dummy but {}: remove or rename it", name,
                                                  link->kind.empty() ? "hardware" : link->kind));
  std::erase_if(links_, [&](const Link& known) { return known.index == link->index; });
  links_.push_back(*link);
  ignore_our_doings(link->index);
  return {};
}

// New addresses on our link, and all routes but the removal of ours. Each costs the kernel a copy and us a system call;
// together a third of what it takes to add the address. Best effort: without the filter they are read.
void Links::ignore_our_doings(std::uint32_t link) {
  // A classic filter loads in network order what netlink has in the host's.
  constexpr std::uint32_t type_at = offsetof(nlmsghdr, nlmsg_type);
  constexpr std::uint32_t index_at = NLMSG_HDRLEN + offsetof(ifaddrmsg, ifa_index);
  constexpr std::uint32_t protocol_at = NLMSG_HDRLEN + offsetof(rtmsg, rtm_protocol);
  std::array<sock_filter, 10> program{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 6, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, protocol_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, route_protocol, 4, 3),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWADDR), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, index_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(link), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, ~0U),
  }};
  const sock_fprog filter{program.size(), program.data()};
  ::setsockopt(events_.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

Result<void> Links::watch_routes() {
  if (watches_routes_) return {};
  for (const int group : {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE})
    if (const auto joined = events_.join(group); !joined) return joined;
  watches_routes_ = true;
  return {};
}

Result<void> Links::remove_dummy(std::string_view name) {
  const auto link = get(name);
  if (!link) return link.error().code == Errc::not_found ? Result<void>{} : fail(link.error());
  if (link->kind != "dummy") return fail(Errc::denied, fmt::format("link {} is no dummy: left alone", name));
  batch_.reset(requests_.next_sequence());
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(link->index);
  batch_.begin(RTM_DELLINK, 0, header);
  const auto failures = requests_.transact(batch_);
  if (!failures.empty() && failures.front().error.code != Errc::not_found)
    return fail(failures.front().error.within(fmt::format("remove link {}", name)));
  return {};
}

std::vector<Failure> Links::execute(std::string_view name, std::span<const Operation> operations) {
  std::vector<Failure> failures;
  const auto link = get(name);
  if (!link) {
    for (std::size_t i = 0; i < operations.size(); ++i)
      failures.push_back({i, link.error().within(to_string(operations[i]))});
    return failures;
  }
  std::size_t first = 0;
  const auto flush = [&] {
    for (auto& failure : requests_.transact(batch_)) {
      const std::size_t index = first + failure.index;
      const bool add = operations[index].verb == Verb::add;
      if (failure.error.code == (add ? Errc::already_exists : Errc::not_found)) continue;
      failures.push_back({index, failure.error.within(to_string(operations[index]))});
    }
    first += batch_.count();
    batch_.reset(requests_.next_sequence());
  };
  constexpr std::size_t message_limit = 128;
  batch_.reset(requests_.next_sequence());
  for (const auto& operation : operations) {
    const IpAddress& address = std::get<BoundAddress>(operation.target).address;
    ifaddrmsg header{};
    header.ifa_family = static_cast<std::uint8_t>(to_af(address.family()));
    header.ifa_prefixlen = address.max_prefix();
    header.ifa_flags = address.family() == Family::ipv6 ? IFA_F_NODAD : 0;
    header.ifa_scope = RT_SCOPE_UNIVERSE;
    header.ifa_index = link->index;
    const bool add = operation.verb == Verb::add;
    batch_.begin(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0, header);
    batch_.attribute(IFA_LOCAL, address.bytes());
    batch_.attribute(IFA_ADDRESS, address.bytes());
    if (batch_.size() + message_limit > batch_limit) flush();
  }
  flush();
  return failures;
}

Result<std::vector<LinkAddress>> Links::addresses() {
  auto links = dump_links();
  if (!links) return fail(links.error());
  links_ = std::move(*links);
  return repeat_interrupted<std::vector<LinkAddress>>([this]() -> Result<std::vector<LinkAddress>> {
    std::vector<LinkAddress> addresses;
    batch_.reset(requests_.next_sequence());
    batch_.begin(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
    const auto done = requests_.query(batch_, [&](const Message& message) {
      const auto address = decode_address(message.payload);
      if (address && *address)
        addresses.push_back({std::string(name_of(links_, (*address)->index)), (*address)->address, (*address)->prefix});
    });
    if (!done) return fail(done.error().within("list addresses"));
    return addresses;
  });
}

bool Links::has(std::string_view name) const {
  return std::any_of(links_.begin(), links_.end(), [&](const Link& link) { return link.name == name; });
}

std::vector<Notification> Links::notifications() {
  std::vector<Notification> result;
  const auto received = events_.receive_notifications([&](const Message& message) {
    const auto type = message.header.nlmsg_type;
    if (type == RTM_NEWADDR || type == RTM_DELADDR) {
      const auto address = decode_address(message.payload);
      if (!address || !*address) return;
      const auto name = name_of(links_, (*address)->index);
      result.emplace_back(
          AddressChange{type == RTM_NEWADDR, {std::string(name), (*address)->address, (*address)->prefix}});
    } else if (type == RTM_DELROUTE) {
      if (const auto route = decode_route(message.payload); route && *route) result.emplace_back(RouteRemoved{});
    } else if (type == RTM_NEWLINK || type == RTM_DELLINK) {
      // A port leaving a bridge is announced as RTM_DELLINK of family AF_BRIDGE; the link lives on.
      if (message.payload.empty() || message.payload[0] != AF_UNSPEC) return;
      const auto link = decode_link(message.payload);
      if (!link || link->name.empty()) return;
      const auto before = name_of(links_, link->index);
      // Renamed: its addresses are known by the old name.
      if (!before.empty() && before != link->name) result.emplace_back(ChangesLost{});
      std::erase_if(links_, [&](const Link& known) { return known.index == link->index; });
      if (type == RTM_NEWLINK) links_.push_back(*link);
      result.emplace_back(LinkChange{link->name, type == RTM_NEWLINK});
    }
  });
  if (!received) result.emplace_back(ChangesLost{});
  return result;
}

}  // namespace ipvsd::nl
