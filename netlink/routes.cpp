#include "netlink/routes.hpp"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace ipvsd::nl {
namespace {

// A dump that a change disturbed is repeated this often.
constexpr int dump_attempts = 5;

rtmsg header_of(const LocalRoute& route) {
  const bool v4 = route.destination.family() == Family::ipv4;
  rtmsg header{};
  header.rtm_family = static_cast<std::uint8_t>(to_af(route.destination.family()));
  header.rtm_dst_len = route.destination.prefix;
  header.rtm_table = RT_TABLE_LOCAL;
  header.rtm_protocol = route_protocol;
  header.rtm_scope = v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_LOCAL;
  return header;
}

std::vector<Failure> all_fail(std::span<const Operation> operations, const Error& error) {
  std::vector<Failure> failures;
  for (std::size_t i = 0; i < operations.size(); ++i) failures.push_back({i, error.within(to_string(operations[i]))});
  return failures;
}

}  // namespace

Result<std::optional<LocalRoute>> decode_route(Bytes payload) {
  const auto header = load<rtmsg>(payload);
  if (!header) return fail(Errc::malformed, "rtnetlink: a route that is too short");
  const auto family = family_of_af(header->rtm_family);
  const bool ours =
      header->rtm_protocol == route_protocol && header->rtm_type == RTN_LOCAL && header->rtm_table == RT_TABLE_LOCAL;
  if (!family || !ours) return std::optional<LocalRoute>{};
  IpAddress destination = IpAddress::any(*family);
  if (header->rtm_dst_len > destination.max_prefix())
    return fail(Errc::malformed, "rtnetlink: a route with an impossible prefix");
  std::optional<IpAddress> source;
  AttributeCursor cursor(payload.subspan(std::min(payload.size(), std::size_t{NLMSG_ALIGN(sizeof(rtmsg))})));
  while (const auto attribute = cursor.next()) {
    if (attribute->type != RTA_DST && attribute->type != RTA_PREFSRC) continue;
    const auto address = IpAddress::from_bytes(*family, attribute->payload);
    if (!address) return fail(address.error().within("rtnetlink"));
    if (attribute->type == RTA_DST) destination = *address;
    if (attribute->type == RTA_PREFSRC) source = *address;
  }
  if (cursor.malformed()) return fail(Errc::malformed, "rtnetlink: a route's attributes do not fit");
  return LocalRoute{Cidr::of(destination, header->rtm_dst_len), source};
}

Result<Routes> Routes::open() {
  auto socket = Socket::open(NETLINK_ROUTE, "rtnetlink routes");
  if (!socket) return fail(socket.error());
  // The kernel looks at the filter of a dump only then (since 4.20); what it does not filter, decode_route() does.
  constexpr int strict = 1;
  ::setsockopt(socket->fd(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof strict);
  return Routes(std::move(*socket));
}

Result<void> Routes::set_up(std::uint32_t link) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(link);
  batch_.reset(socket_.next_sequence());
  batch_.begin(RTM_NEWLINK, 0, header);
  const auto families = batch_.begin_nested(IFLA_AF_SPEC);
  const auto ipv6 = batch_.begin_nested(AF_INET6);
  constexpr std::uint8_t none = IN6_ADDR_GEN_MODE_NONE;
  batch_.attribute(IFLA_INET6_ADDR_GEN_MODE, bytes_of(none));
  batch_.end_nested(ipv6);
  batch_.end_nested(families);
  header.ifi_flags = header.ifi_change = IFF_UP;
  batch_.begin(RTM_NEWLINK, 0, header);
  add_anchor(RTM_NEWADDR, link);
  // A node without IPv6 refuses the first, which is no harm.
  for (const auto& failure : socket_.transact(batch_)) {
    if (failure.index == 1) return fail(failure.error.within("set the link up"));
    if (failure.index == 2 && failure.error.code != Errc::already_exists)
      return fail(failure.error.within("add the address that holds IPv4 routes"));
  }
  return {};
}

// To the batch.
void Routes::add_anchor(std::uint16_t type, std::uint32_t link) {
  constexpr std::array<std::uint8_t, 4> anchor{127, route_protocol, 0, 1};
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_scope = RT_SCOPE_HOST;
  header.ifa_index = link;
  batch_.begin(type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0, header);
  batch_.attribute(IFA_LOCAL, anchor);
  batch_.attribute(IFA_ADDRESS, anchor);
}

void Routes::remove_idle_anchor(std::string_view link) {
  if (const auto index = ::if_nametoindex(std::string(link).c_str()); index != 0) remove_idle_anchor(index);
}

void Routes::remove_idle_anchor(std::uint32_t link) {
  const auto left = list_once(link);
  const auto is_v4 = [](const LocalRoute& route) { return route.destination.family() == Family::ipv4; };
  if (!left || std::any_of(left->begin(), left->end(), is_v4)) return;
  batch_.reset(socket_.next_sequence());
  add_anchor(RTM_DELADDR, link);
  (void)socket_.transact(batch_);
}

std::vector<Failure> Routes::execute(std::string_view link, std::span<const Operation> operations) {
  const auto index = ::if_nametoindex(std::string(link).c_str());
  if (index == 0) return all_fail(operations, Error{Errc::not_found, ENODEV, "link " + std::string(link)});
  const bool adds =
      std::any_of(operations.begin(), operations.end(), [](const Operation& o) { return o.verb != Verb::remove; });
  if (adds)
    if (const auto up = set_up(index); !up) return all_fail(operations, up.error());
  batch_.reset(socket_.next_sequence());
  for (const auto& operation : operations) {
    const auto& route = std::get<LocalRoute>(operation.target);
    const bool add = operation.verb != Verb::remove;
    batch_.begin(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, header_of(route));
    batch_.attribute(RTA_DST, route.destination.address.bytes());
    batch_.attribute(RTA_OIF, bytes_of(index));
    batch_.attribute(RTA_PRIORITY, bytes_of(route_metric));
    if (add && route.source) batch_.attribute(RTA_PREFSRC, route.source->bytes());
  }
  std::vector<Failure> failures;
  for (auto& failure : socket_.transact(batch_)) {
    const auto& operation = operations[failure.index];
    if (operation.verb == Verb::remove && failure.error.code == Errc::not_found) continue;
    failures.push_back({failure.index, failure.error.within(to_string(operation))});
  }
  const bool removes =
      std::any_of(operations.begin(), operations.end(), [](const Operation& o) { return o.verb == Verb::remove; });
  if (removes) remove_idle_anchor(index);
  return failures;
}

Result<std::vector<LocalRoute>> Routes::list_once(std::uint32_t link) {
  std::vector<LocalRoute> routes;
  for (const auto family : families) {
    rtmsg header{};
    header.rtm_family = static_cast<std::uint8_t>(to_af(family));
    header.rtm_table = RT_TABLE_LOCAL;
    header.rtm_protocol = route_protocol;
    header.rtm_type = RTN_LOCAL;
    batch_.reset(socket_.next_sequence());
    batch_.begin(RTM_GETROUTE, NLM_F_DUMP, header);
    batch_.attribute(RTA_OIF, bytes_of(link));
    const auto done = socket_.query(batch_, [&](const Message& message) {
      if (message.header.nlmsg_type != RTM_NEWROUTE) return;
      if (const auto route = decode_route(message.payload); route && *route) routes.push_back(**route);
    });
    // No table, or a kernel without IPv6.
    if (!done && done.error().code != Errc::not_found && done.error().code != Errc::unsupported)
      return fail(done.error().within("list local routes"));
  }
  return routes;
}

Result<std::vector<LocalRoute>> Routes::list(std::string_view link) {
  const auto index = ::if_nametoindex(std::string(link).c_str());
  if (index == 0) return std::vector<LocalRoute>{};
  for (int i = 1;; ++i) {
    auto routes = list_once(index);
    if (routes || routes.error().code != Errc::interrupted || i == dump_attempts) return routes;
  }
}

}  // namespace ipvsd::nl
