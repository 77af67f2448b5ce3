#include "test/fake/fake_kernel.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>

namespace ipvsd::test {

FakeKernel::FakeKernel() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Result<void> FakeKernel::prepare() {
  prepared_ = true;
  return {};
}

Result<void> FakeKernel::unprepare() {
  prepared_ = false;
  bound_.clear();
  routes_.clear();
  entries_.clear();
  return {};
}

std::vector<Failure> FakeKernel::execute(std::span<const Operation> operations) {
  ++calls;
  std::vector<Failure> failures;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    log_.push_back(operations[i]);
    const auto planned = fault ? fault(operations[i]) : std::nullopt;
    if (planned && !planned->takes_effect) {
      failures.push_back({i, planned->error});
      continue;
    }
    const auto done = perform(operations[i]);
    if (planned)
      failures.push_back({i, planned->error});
    else if (!done)
      failures.push_back({i, done.error().within(to_string(operations[i]))});
  }
  return failures;
}

Result<void> FakeKernel::perform(const Operation& operation) {
  return std::visit([&](const auto& target) { return perform(operation.verb, target); }, operation.target);
}

Result<void> FakeKernel::perform(Verb verb, const VirtualServer& server) {
  const auto row = servers_.find(server.key);
  if (verb == Verb::add) {
    if (row != servers_.end()) return fail_errno(EEXIST, "fake");
    servers_[server.key].server = server;
    return {};
  }
  if (row == servers_.end()) return fail_errno(ESRCH, "fake");
  if (verb == Verb::set)
    row->second.server = server;
  else
    servers_.erase(row);
  return {};
}

Result<void> FakeKernel::perform(Verb verb, const DestinationOf& of) {
  const auto row = servers_.find(of.server);
  if (row == servers_.end()) return fail_errno(ESRCH, "fake");
  auto& destinations = row->second.destinations;
  const auto found = destinations.find(of.destination.key);
  if (verb == Verb::add) {
    if (found != destinations.end()) return fail_errno(EEXIST, "fake");
    destinations[of.destination.key].destination = of.destination;
    return {};
  }
  if (found == destinations.end()) return fail_errno(ENOENT, "fake");
  if (verb == Verb::set)
    found->second.destination = of.destination;
  else
    destinations.erase(found);
  return {};
}

Result<void> FakeKernel::perform(Verb verb, const BoundAddress& bound) {
  if (!prepared_) return fail_errno(ENODEV, "fake");
  const bool changed = verb == Verb::add ? bound_.insert(bound.address).second : bound_.erase(bound.address) > 0;
  if (changed && verb == Verb::remove)
    pending_.emplace_back(
        AddressChange{false, {std::string(ipvs_link_name), bound.address, bound.address.max_prefix()}});
  return {};
}

Result<void> FakeKernel::perform(Verb verb, const SetEntry& entry) {
  if (!prepared_) return fail_errno(ENOENT, "fake");
  // A mark is no part of an element's identity.
  std::erase_if(entries_, [&](const SetEntry& other) {
    SetEntry unmarked = other;
    unmarked.mark = entry.mark;
    return unmarked == entry;
  });
  if (verb == Verb::add) entries_.insert(entry);
  return {};
}

// Announced is the removal, whoever does it; and that the node has the source is the kernel's condition.
Result<void> FakeKernel::perform(Verb verb, const LocalRoute& route) {
  if (!prepared_) return fail_errno(ENODEV, "fake");
  if (verb == Verb::remove) {
    if (routes_.erase(route.destination) > 0) pending_.emplace_back(RouteRemoved{});
    return {};
  }
  const auto has_source = [&](const LinkAddress& address) { return address.address == route.source; };
  if (route.source && std::none_of(node_addresses_.begin(), node_addresses_.end(), has_source))
    return fail_errno(EINVAL, "fake");
  routes_[route.destination] = route;
  return {};
}

Result<std::vector<LocalRoute>> FakeKernel::routes() {
  ++observations;
  return state().routes;
}

Result<KernelState> FakeKernel::observe() {
  ++observations;
  return state();
}

KernelState FakeKernel::state() const {
  KernelState state;
  for (const auto& [key, row] : servers_) {
    ObservedVirtualServer found{row.server, {}};
    for (const auto& [destination_key, destination] : row.destinations) found.destinations.push_back(destination);
    state.servers.push_back(std::move(found));
  }
  state.bound.assign(bound_.begin(), bound_.end());
  for (const auto& [destination, route] : routes_) state.routes.push_back(route);
  state.entries.assign(entries_.begin(), entries_.end());
  return state;
}

Result<std::optional<ObservedVirtualServer>> FakeKernel::observe(const VirtualServerKey& key) {
  ++observations;
  const auto row = servers_.find(key);
  if (row == servers_.end()) return std::optional<ObservedVirtualServer>{};
  ObservedVirtualServer found{row->second.server, {}};
  for (const auto& [destination_key, destination] : row->second.destinations) found.destinations.push_back(destination);
  return std::optional(std::move(found));
}

Result<std::vector<ObservedDestination>> FakeKernel::destinations(const VirtualServerKey& key) {
  auto found = observe(key);
  return *found ? std::move((*found)->destinations) : std::vector<ObservedDestination>{};
}

// In pieces of `enough`, of what there is at each.
Result<bool> FakeKernel::servers(std::size_t enough, std::vector<VirtualServer>& into) {
  ++observations;
  auto row = listed_ ? servers_.upper_bound(*listed_) : servers_.begin();
  for (; enough > 0 && row != servers_.end(); --enough, ++row) {
    into.push_back(row->second.server);
    listed_ = row->first;
  }
  if (row != servers_.end()) return true;
  listed_.reset();
  return false;
}

Result<std::vector<SetEntry>> FakeKernel::members(IpSet set) {
  ++observations;
  if (!prepared_) return fail_errno(ENOENT, "fake");
  std::vector<SetEntry> members;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(members),
               [&](const SetEntry& entry) { return entry.set == set; });
  return members;
}

Result<bool> FakeKernel::members(IpSet set, std::size_t, std::vector<SetEntry>& into) {
  const auto all = members(set);
  if (!all) return fail(all.error());
  into.insert(into.end(), all->begin(), all->end());
  return false;
}

Result<std::vector<LinkAddress>> FakeKernel::addresses() {
  std::vector<LinkAddress> all(node_addresses_.begin(), node_addresses_.end());
  for (const auto& address : bound_) all.push_back({std::string(ipvs_link_name), address, address.max_prefix()});
  return all;
}

std::vector<Notification> FakeKernel::notifications() { return std::exchange(pending_, {}); }

void FakeKernel::add_node_address(const std::string& link, const std::string& address, std::uint8_t prefix) {
  const LinkAddress added{link, *IpAddress::parse(address), prefix};
  node_addresses_.insert(added);
  pending_.emplace_back(AddressChange{true, added});
}

void FakeKernel::remove_node_address(const std::string& link, const std::string& address) {
  const auto ip = *IpAddress::parse(address);
  const auto found = std::find_if(node_addresses_.begin(), node_addresses_.end(),
                                  [&](const LinkAddress& a) { return a.link == link && a.address == ip; });
  if (found == node_addresses_.end()) return;
  pending_.emplace_back(AddressChange{false, *found});
  node_addresses_.erase(found);
}

void FakeKernel::set_connections(const VirtualServerKey& server, const DestinationKey& destination,
                                 std::uint32_t active) {
  servers_.at(server).destinations.at(destination).active_connections = active;
}

void FakeKernel::foreign(const Operation& operation) { (void)perform(operation); }

void FakeKernel::remove_link() {
  for (const auto& address : bound_)
    pending_.emplace_back(AddressChange{false, {std::string(ipvs_link_name), address, address.max_prefix()}});
  pending_.emplace_back(LinkChange{std::string(ipvs_link_name), false});
  bound_.clear();
  routes_.clear();
}

std::vector<Operation> FakeKernel::take_log() { return std::exchange(log_, {}); }

std::string FakeKernel::text() const { return text_of(state()); }

std::string text_of(KernelState state) {
  const auto by_key = [](const auto& a, const auto& b) { return a.server.key < b.server.key; };
  std::sort(state.servers.begin(), state.servers.end(), by_key);
  std::sort(state.bound.begin(), state.bound.end());
  std::sort(state.entries.begin(), state.entries.end());
  std::string text;
  // As adding it is written, without "add ".
  const auto line = [&](Target target) { text += to_string(Operation{Verb::add, std::move(target)}).substr(4) + "\n"; };
  for (auto& [server, destinations] : state.servers) {
    line(server);
    std::sort(destinations.begin(), destinations.end(),
              [](const auto& a, const auto& b) { return a.destination.key < b.destination.key; });
    for (const auto& observed : destinations) line(DestinationOf{server.key, observed.destination});
  }
  for (const auto& address : state.bound) line(BoundAddress{address});
  for (const auto& route : state.routes) line(route);
  for (const auto& entry : state.entries) line(entry);
  return text;
}

}  // namespace ipvsd::test
