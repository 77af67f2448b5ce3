#include "ctl/observe.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "ctl/observe_rules.hpp"

namespace ipvsd::ctl {
namespace {

// Instead of "Operation not permitted".
Error explained(Error error) {
  if (error.code == Errc::denied) return {Errc::denied, 0, "reading IPVS needs root or CAP_NET_ADMIN: try sudo"};
  return error;
}

ObservedSet observe_set(IpSet set, std::vector<SetEntry> entries, const Selectors& selection, SetDetail detail) {
  ObservedSet observed{set, entries.size(), {}, {}};
  if (detail != SetDetail::members) return observed;
  std::erase_if(entries, [&](const SetEntry& entry) { return !selection.matches(entry); });
  std::sort(entries.begin(), entries.end());
  observed.members = std::move(entries);
  return observed;
}

bool by_mark_then_key(const nl::VirtualServerRecord& a, const nl::VirtualServerRecord& b) {
  const auto& x = a.server.key;
  const auto& y = b.server.key;
  return std::pair(x.fwmark != 0, x) < std::pair(y.fwmark != 0, y);
}

}  // namespace

Result<Observer> Observer::open() {
  // Asking generic netlink for the family would load the module where it is missing.
  if (::access("/proc/net/ip_vs", F_OK) != 0)
    return fail(Errc::unsupported, "this kernel has no IPVS, or it is not loaded: try modprobe ip_vs");
  auto ipvs = nl::Ipvs::open();
  if (!ipvs) return fail(explained(ipvs.error()));
  // Before libipset, whose words for it are its own.
  if (const auto allowed = ipvs->timeouts(); !allowed) return fail(explained(allowed.error()));
  auto links = nl::Links::open();
  if (!links) return fail(links.error());
  auto routes = nl::Routes::open();
  if (!routes) return fail(routes.error());
  std::optional<IpSets> sets;
  if (::access("/sys/module/ip_set", F_OK) == 0) {
    auto opened = IpSets::open();
    if (!opened) return fail(opened.error());
    sets = std::move(*opened);
  }
  return Observer(std::move(*ipvs), std::move(*links), std::move(*routes), std::move(sets));
}

Result<Observation> Observer::observe(const Selectors& selection, const ObserveOptions& options) {
  Observation observation;
  const auto dumped = ipvs_.dump_virtual_servers([&](const nl::VirtualServerRecord& record) {
    if (selection.matches(record.server.key)) observation.servers.push_back(record);
  });
  if (!dumped) return fail(dumped.error().within("list virtual servers"));
  std::sort(observation.servers.begin(), observation.servers.end(), by_mark_then_key);

  if (options.addresses) {
    auto addresses = links_.addresses();
    if (!addresses) return fail(addresses.error());
    observation.link.present = links_.has(ipvs_link_name);
    for (auto& address : *addresses)
      if (address.link == ipvs_link_name && !address.address.is_loopback() && selection.matches(address.address))
        observation.link.addresses.push_back(std::move(address));
    std::sort(observation.link.addresses.begin(), observation.link.addresses.end());
    auto routes = routes_.list(ipvs_link_name);
    if (!routes) return fail(routes.error());
    for (const auto& route : *routes)
      if (selection.matches(route.destination)) observation.link.routes.push_back(route);
    std::sort(observation.link.routes.begin(), observation.link.routes.end());
  }

  if (options.rules) observation.rules = observe_rules();
  if (options.settings) {
    observation.sysctls = observe_sysctls();
    const auto timeouts = ipvs_.timeouts();
    if (!timeouts) return fail(timeouts.error().within("read the timeouts"));
    observation.timeouts = *timeouts;
  }
  if (!sets_ || options.sets == SetDetail::none) return observation;
  for (const auto set : all_ip_sets()) {
    auto entries = sets_->list(set);
    if (entries)
      observation.sets.push_back(observe_set(set, std::move(*entries), selection, options.sets));
    else if (entries.error().code != Errc::not_found)
      observation.sets.push_back({set, 0, {}, entries.error().message()});
  }
  return observation;
}

Result<std::vector<SetEntry>> Observer::members(IpSet set, const Selectors& selection) {
  if (!sets_) {
    if (::access("/sys/module/ip_set", F_OK) != 0) return fail(Errc::not_found, std::string(set.name()));
    auto opened = IpSets::open();
    if (!opened) return fail(opened.error());
    sets_ = std::move(*opened);
  }
  auto entries = sets_->list(set);
  if (!entries) return fail(entries.error());
  std::erase_if(*entries, [&](const SetEntry& entry) { return !selection.matches(entry); });
  std::sort(entries->begin(), entries->end());
  return entries;
}

void Observer::name_marks(Names& names) {
  if (names.empty()) return;
  for (const auto family : families)
    if (const auto entries = members({SetKind::outside, family}, {})) names.add_marks(*entries);
}

Result<bool> Observer::exists(const VirtualServerKey& key) {
  const auto record = ipvs_.get(key);
  if (record) return true;
  // ip_vs_genl_get_cmd says ESRCH.
  if (record.error().code == Errc::not_found) return false;
  return fail(record.error());
}

Result<void> Observer::read_destinations(const nl::VirtualServerRecord& server, ObservedServer& into) {
  into.record = server;
  into.destinations.clear();
  const auto& key = server.server.key;
  const auto dumped =
      ipvs_.dump_destinations(key, [&](const nl::DestinationRecord& record) { into.destinations.push_back(record); });
  if (!dumped) return fail(dumped.error().within("list destinations of " + key.to_string()));
  std::sort(into.destinations.begin(), into.destinations.end(),
            [](const auto& a, const auto& b) { return a.observed.destination.key < b.observed.destination.key; });
  return {};
}

Result<ObservedServer> Observer::destinations(const nl::VirtualServerRecord& server) {
  ObservedServer observed;
  if (const auto read = read_destinations(server, observed); !read) return fail(read.error());
  return observed;
}

}  // namespace ipvsd::ctl
