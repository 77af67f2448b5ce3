// What Kernel promises, checked against whichever kernel is linked.
#include <poll.h>
#include <catch2/catch.hpp>

#include <algorithm>

#include "test/contract/subject.hpp"

using namespace ipvsd;
using test::make_kernel;

namespace {

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

VirtualServer server(const std::string& address, Protocol protocol = Protocol::tcp, std::uint16_t port = 80) {
  VirtualServer result;
  result.key = {ip(address), protocol, Port{port}, 0};
  result.client_prefix = result.key.address.max_prefix();
  return result;
}

DestinationOf destination(const VirtualServer& of, const std::string& address, std::uint32_t weight = 1) {
  DestinationOf result{of.key, {}};
  result.destination.key = {ip(address), Port{8080}};
  result.destination.weight = weight;
  return result;
}

// Shows what failed where a test expects nothing to.
std::vector<std::string> execute(Kernel& kernel, std::vector<Operation> operations) {
  std::vector<std::string> messages;
  for (const auto& failure : kernel.execute(operations)) messages.push_back(failure.error.message());
  return messages;
}

const std::vector<std::string> nothing_failed;

Errc only_failure(Kernel& kernel, Operation operation) {
  const std::vector operations{std::move(operation)};
  const auto failures = kernel.execute(operations);
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].index == 0);
  CHECK(failures[0].error.sys_errno > 0);
  return failures[0].error.code;
}

std::vector<Destination> destinations_of(const ObservedVirtualServer& found) {
  std::vector<Destination> all;
  for (const auto& observed : found.destinations) all.push_back(observed.destination);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return all;
}

}  // namespace

TEST_CASE("what is added is observed, exactly as it was desired") {
  const auto kernel = make_kernel();
  const auto address = GENERATE(as<std::string>{}, "10.96.0.1", "fd00:10:96::1");
  const auto protocol = GENERATE(Protocol::tcp, Protocol::udp, Protocol::sctp);
  VirtualServer wanted = server(address, protocol);
  wanted.flags = flag_persistent;
  wanted.timeout = 10800;
  const auto backend = address[0] == 'f' ? "fd00:10:244::1" : "10.244.1.1";
  REQUIRE(execute(*kernel, {{Verb::add, wanted}, {Verb::add, destination(wanted, backend)}}) == nothing_failed);

  const auto found = kernel->observe(wanted.key);
  REQUIRE(found);
  REQUIRE(*found);
  CHECK((*found)->server == wanted);
  CHECK(destinations_of(**found) == std::vector{destination(wanted, backend).destination});

  const auto state = kernel->observe();
  REQUIRE(state);
  REQUIRE(state->servers.size() == 1);
  CHECK(state->servers[0].server == wanted);
  CHECK(state->servers[0].destinations.size() == 1);
}

TEST_CASE("the kernel has all thirteen schedulers") {
  const auto kernel = make_kernel();
  const auto name = GENERATE(as<std::string>{}, "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq",
                             "fo", "ovf", "mh");
  VirtualServer wanted = server("10.96.0.1");
  wanted.scheduler = name;
  if (name == "mh") wanted.flags = flag_sched2;
  CHECK(execute(*kernel, {{Verb::add, wanted}}) == nothing_failed);
  CHECK((*kernel->observe(wanted.key))->server == wanted);
}

TEST_CASE("adding, setting and removing are strict") {
  const auto kernel = make_kernel();
  const VirtualServer wanted = server("10.96.0.1");
  const auto backend = destination(wanted, "10.244.1.1");
  CHECK(only_failure(*kernel, {Verb::set, wanted}) == Errc::not_found);
  CHECK(only_failure(*kernel, {Verb::remove, wanted}) == Errc::not_found);
  CHECK(only_failure(*kernel, {Verb::add, backend}) == Errc::not_found);
  REQUIRE(execute(*kernel, {{Verb::add, wanted}}) == nothing_failed);
  CHECK(only_failure(*kernel, {Verb::add, wanted}) == Errc::already_exists);
  CHECK(only_failure(*kernel, {Verb::set, backend}) == Errc::not_found);
  CHECK(only_failure(*kernel, {Verb::remove, backend}) == Errc::not_found);
  REQUIRE(execute(*kernel, {{Verb::add, backend}}) == nothing_failed);
  CHECK(only_failure(*kernel, {Verb::add, backend}) == Errc::already_exists);
}

TEST_CASE("setting changes in place") {
  const auto kernel = make_kernel();
  VirtualServer wanted = server("10.96.0.1");
  const auto backend = destination(wanted, "10.244.1.1");
  REQUIRE(execute(*kernel, {{Verb::add, wanted}, {Verb::add, backend}}) == nothing_failed);
  wanted.flags = flag_persistent;
  wanted.timeout = 60;
  wanted.scheduler = "lc";
  const auto drained = destination(wanted, "10.244.1.1", 0);
  REQUIRE(execute(*kernel, {{Verb::set, wanted}, {Verb::set, drained}}) == nothing_failed);
  const auto found = *kernel->observe(wanted.key);
  CHECK(found->server == wanted);
  CHECK(destinations_of(*found) == std::vector{drained.destination});
}

TEST_CASE("a failing operation does not stop the others, and each error finds its operation") {
  const auto kernel = make_kernel();
  std::vector<Operation> operations;
  std::vector<std::size_t> wrong;
  // Enough for several sends, with failures everywhere, the last one included.
  for (std::uint16_t i = 0; i < 3000; ++i) {
    operations.push_back({Verb::add, server("10.96.0.1", Protocol::tcp, static_cast<std::uint16_t>(1000 + i))});
    if (i % 7 != 6 && i != 2999) continue;
    wrong.push_back(operations.size());
    operations.push_back({Verb::remove, server("10.96.0.2", Protocol::tcp, static_cast<std::uint16_t>(1000 + i))});
  }
  const auto failures = kernel->execute(operations);
  REQUIRE(failures.size() == wrong.size());
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    CHECK(failures[i].index == wrong[i]);
    CHECK(failures[i].error.code == Errc::not_found);
  }
  CHECK(kernel->observe()->servers.size() == 3000);
}

TEST_CASE("removing a virtual server takes its destinations along") {
  const auto kernel = make_kernel();
  const VirtualServer wanted = server("10.96.0.1");
  REQUIRE(
      execute(*kernel, {{Verb::add, wanted}, {Verb::add, destination(wanted, "10.244.1.1")}, {Verb::remove, wanted}}) ==
      nothing_failed);
  CHECK_FALSE(*kernel->observe(wanted.key));
  REQUIRE(execute(*kernel, {{Verb::add, wanted}}) == nothing_failed);
  CHECK((*kernel->observe(wanted.key))->destinations.empty());
}

TEST_CASE("addresses are bound and unbound, twice if asked twice, and their going is announced") {
  const auto kernel = make_kernel();
  (void)kernel->notifications();
  const auto text = GENERATE(as<std::string>{}, "10.96.0.1", "fd00:10:96::1");
  const BoundAddress address{ip(text)};
  REQUIRE(execute(*kernel, {{Verb::add, address}, {Verb::add, address}}) == nothing_failed);
  const LinkAddress on_link{std::string(ipvs_link_name), address.address, address.address.max_prefix()};
  const auto all = *kernel->addresses();
  CHECK(std::count(all.begin(), all.end(), on_link) == 1);
  CHECK(kernel->observe()->bound == std::vector{address.address});
  REQUIRE(execute(*kernel, {{Verb::remove, address}, {Verb::remove, address}}) == nothing_failed);
  CHECK(kernel->observe()->bound.empty());

  std::vector<bool> seen;
  for (const auto& notification : kernel->notifications())
    if (const auto* change = std::get_if<AddressChange>(&notification); change != nullptr && change->address == on_link)
      seen.push_back(change->present);
  CHECK(seen == std::vector{false});
}

TEST_CASE("local routes are added, replaced and removed, twice if asked twice, and their going is announced") {
  const auto kernel = make_kernel();
  (void)kernel->notifications();
  const auto text = GENERATE(as<std::string>{}, "10.96.0.0/16", "fd00:10:96::/112");
  const LocalRoute route{*Cidr::parse(text), {}};
  CHECK(kernel->routes()->empty());
  REQUIRE(execute(*kernel, {{Verb::add, route}, {Verb::add, route}, {Verb::set, route}}) == nothing_failed);
  CHECK(*kernel->routes() == std::vector{route});
  CHECK(kernel->observe()->routes == std::vector{route});
  CHECK(kernel->observe()->bound.empty());
  // No address of the node.
  LocalRoute other = route;
  other.source = ip(text[0] == 'f' ? "2001:db8::1" : "192.0.2.1");
  CHECK(only_failure(*kernel, {Verb::set, other}) != Errc::not_found);
  CHECK(*kernel->routes() == std::vector{route});

  (void)kernel->notifications();
  REQUIRE(execute(*kernel, {{Verb::remove, route}, {Verb::remove, route}}) == nothing_failed);
  CHECK(kernel->routes()->empty());
  std::size_t removed = 0;
  for (const auto& notification : kernel->notifications())
    removed += std::holds_alternative<RouteRemoved>(notification) ? 1 : 0;
  CHECK(removed == 1);
}

TEST_CASE("set entries are added and removed, twice if asked twice") {
  const auto kernel = make_kernel();
  const SetEntry v4 = ip_port_entry({SetKind::cluster_ip, Family::ipv4}, ip("10.96.0.1"), Protocol::tcp, Port{80});
  const SetEntry v6 =
      ip_port_ip_entry({SetKind::loop_back, Family::ipv6}, ip("fd00::1"), Protocol::udp, Port{53}, ip("fd00::1"));
  const SetEntry port = bitmap_entry({SetKind::node_port_tcp, Family::ipv4}, Port{30080});
  REQUIRE(execute(*kernel, {{Verb::add, v4}, {Verb::add, v6}, {Verb::add, port}, {Verb::add, v4}}) == nothing_failed);
  CHECK(*kernel->members(v4.set) == std::vector{v4});
  CHECK(*kernel->members(v6.set) == std::vector{v6});
  CHECK(kernel->observe()->entries.size() == 3);
  REQUIRE(execute(*kernel, {{Verb::remove, v4}, {Verb::remove, v4}, {Verb::remove, port}}) == nothing_failed);
  CHECK(kernel->members(v4.set)->empty());
  CHECK(kernel->observe()->entries == std::vector{v6});
}

TEST_CASE("preparing twice is the same as once, and undoing it leaves nothing") {
  const auto kernel = make_kernel();
  REQUIRE(kernel->prepare());  // make_kernel() was the first
  REQUIRE(execute(*kernel, {{Verb::add, BoundAddress{ip("10.96.0.1")}}}) == nothing_failed);
  REQUIRE(kernel->unprepare());
  CHECK(only_failure(*kernel, {Verb::add, BoundAddress{ip("10.96.0.1")}}) == Errc::not_found);
  CHECK_FALSE(kernel->members({SetKind::cluster_ip, Family::ipv4}));
}

TEST_CASE("virtual servers are listed in pieces, beside other calls") {
  const auto kernel = make_kernel();
  std::vector<Operation> additions;
  std::vector<VirtualServer> wanted;
  for (int i = 1; i <= 250; ++i) {
    wanted.push_back(server("10.96.1." + std::to_string(i)));
    additions.push_back({Verb::add, wanted.back()});
  }
  REQUIRE(execute(*kernel, additions) == nothing_failed);

  std::vector<VirtualServer> found;
  std::size_t pieces = 0;
  for (bool more = true; more; ++pieces) {
    const auto listed = kernel->servers(10, found);
    REQUIRE(listed);
    more = *listed;
    REQUIRE(kernel->destinations(wanted.front().key));  // another dump, meanwhile
  }
  CHECK(pieces > 1);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  std::sort(wanted.begin(), wanted.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  CHECK(found == wanted);

  std::vector<VirtualServer> again;
  REQUIRE(kernel->servers(10, again));
  CHECK_FALSE(again.empty());
}

TEST_CASE("destinations are listed by themselves") {
  const auto kernel = make_kernel();
  const auto served = server("10.96.0.1");
  REQUIRE(execute(*kernel, {{Verb::add, served}, {Verb::add, destination(served, "10.244.1.1", 3)}}) == nothing_failed);
  const auto found = kernel->destinations(served.key);
  REQUIRE(found);
  REQUIRE(found->size() == 1);
  CHECK(found->front().destination == destination(served, "10.244.1.1", 3).destination);
  const auto none = kernel->destinations(server("10.96.0.2").key);
  REQUIRE(none);
  CHECK(none->empty());
}
