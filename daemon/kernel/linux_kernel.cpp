#include "daemon/kernel/linux_kernel.hpp"

#include <array>
#include <string_view>

#include "os/modules.hpp"

namespace ipvsd {
namespace {

enum class Channel { ipvs, links, routes, sets };

Channel channel_of(const Operation& operation) {
  if (std::holds_alternative<BoundAddress>(operation.target)) return Channel::links;
  if (std::holds_alternative<LocalRoute>(operation.target)) return Channel::routes;
  if (std::holds_alternative<SetEntry>(operation.target)) return Channel::sets;
  return Channel::ipvs;
}

constexpr std::array<std::string_view, 20> modules{"ip_vs",
                                                   "ip_vs_rr",
                                                   "nf_conntrack",
                                                   "dummy",
                                                   "ip_set",
                                                   "ip_set_hash_ip",
                                                   "ip_set_hash_ipport",
                                                   "ip_set_hash_ipportip",
                                                   "ip_set_hash_ipportnet",
                                                   "ip_set_bitmap_port",
                                                   "xt_set",
                                                   "xt_comment",
                                                   "xt_mark",
                                                   "xt_conntrack",
                                                   "xt_addrtype",
                                                   "xt_physdev",
                                                   "xt_MASQUERADE",
                                                   "ipt_REJECT",
                                                   "ip6t_REJECT",
                                                   "xt_nat"};

}  // namespace

std::span<const std::string_view> needed_modules() { return modules; }

Result<LinuxKernel> LinuxKernel::open() {
  load_modules(modules);
  auto ipvs = nl::Ipvs::open();
  if (!ipvs) return fail(ipvs.error());
  auto links = nl::Links::open();
  if (!links) return fail(links.error());
  auto routes = nl::Routes::open();
  if (!routes) return fail(routes.error());
  auto sets = IpSets::open();
  if (!sets) return fail(sets.error());
  auto reader = nl::SetReader::open();
  if (!reader) return fail(reader.error());
  return LinuxKernel(std::move(*ipvs), std::move(*links), std::move(*routes), std::move(*sets), std::move(*reader));
}

Result<void> LinuxKernel::prepare() {
  if (const auto created = links_.create_dummy(ipvs_link_name); !created) return created;
  // What holds routes: one who was killed may have left it.
  if (const auto addresses = links_.addresses(); addresses)
    for (const auto& [link, address, prefix] : *addresses)
      if (link == ipvs_link_name && address.is_loopback()) routes_.remove_idle_anchor(ipvs_link_name);
  return sets_.create_all();
}

Result<void> LinuxKernel::unprepare() {
  const auto removed = links_.remove_dummy(ipvs_link_name);
  const auto destroyed = sets_.destroy_all();
  return removed ? destroyed : removed;
}

std::vector<Failure> LinuxKernel::execute(std::span<const Operation> operations) {
  std::vector<Failure> failures;
  for (std::size_t first = 0; first < operations.size();) {
    const Channel channel = channel_of(operations[first]);
    std::size_t last = first;
    while (last < operations.size() && channel_of(operations[last]) == channel) ++last;
    const auto run = operations.subspan(first, last - first);
    auto failed = channel == Channel::ipvs     ? ipvs_.execute(run)
                  : channel == Channel::links  ? links_.execute(ipvs_link_name, run)
                  : channel == Channel::routes ? execute_routes(run)
                                               : sets_.execute(run);
    for (auto& failure : failed) failures.push_back({first + failure.index, std::move(failure.error)});
    first = last;
  }
  return failures;
}

std::vector<Failure> LinuxKernel::execute_routes(std::span<const Operation> operations) {
  // Before the first is there, so that its removal cannot be missed; without that the audit notices it.
  (void)links_.watch_routes();
  return routes_.execute(ipvs_link_name, operations);
}

Result<std::vector<LocalRoute>> LinuxKernel::routes() {
  auto found = routes_.list(ipvs_link_name);
  if (found && !found->empty()) (void)links_.watch_routes();
  return found;
}

Result<KernelState> LinuxKernel::observe() {
  KernelState state;
  const auto servers = ipvs_.dump_virtual_servers([&](const nl::VirtualServerRecord& record) {
    state.servers.push_back({record.server, {}});
  });
  if (!servers) return fail(servers.error());
  for (auto& found : state.servers) {
    const auto destinations = ipvs_.dump_destinations(
        found.server.key, [&](const nl::DestinationRecord& record) { found.destinations.push_back(record.observed); });
    if (!destinations) return fail(destinations.error());
  }
  const auto addresses = links_.addresses();
  if (!addresses) return fail(addresses.error());
  for (const auto& [link, address, prefix] : *addresses)
    if (link == ipvs_link_name && !address.is_loopback() &&
        !(address.family() == Family::ipv6 && address.is_link_local()))
      state.bound.push_back(address);
  auto local = routes();
  if (!local) return fail(local.error());
  state.routes = std::move(*local);
  for (const auto& set : all_ip_sets()) {
    const auto entries = members(set);
    if (!entries && entries.error().code == Errc::not_found) continue;
    if (!entries) return fail(entries.error());
    state.entries.insert(state.entries.end(), entries->begin(), entries->end());
  }
  return state;
}

Result<std::vector<SetEntry>> LinuxKernel::members(IpSet set) {
  std::vector<SetEntry> members;
  for (bool more = true; more;) {
    const auto read = reader_.next(set, 1U << 20, members);
    if (!read) return fail(read.error());
    more = *read;
  }
  return members;
}

}  // namespace ipvsd
