// What Flows promises, checked against whichever connection tracking is linked.
#include <catch2/catch.hpp>

#include <algorithm>

#include "test/contract/flows_subject.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

std::vector<Flow> list(Flows& flows, const FlowFilter& filter) {
  std::vector<Flow> found;
  const auto listed = flows.list(filter, [&](const Flow& flow) { found.push_back(flow); });
  if (!listed) FAIL(listed.error().message());
  return found;
}

// Sorted, without repetition.
std::vector<std::string> lines(Flows& flows, const FlowFilter& filter) {
  std::vector<std::string> text;
  for (const auto& flow : list(flows, filter)) text.push_back(flow.to_string());
  std::sort(text.begin(), text.end());
  text.erase(std::unique(text.begin(), text.end()), text.end());
  return text;
}

FlowFilter all(Family family = Family::ipv4, Protocol protocol = Protocol::udp) { return {family, protocol, {}, {}}; }

const std::string dns_a = "UDP 10.244.1.100:4000 -> 10.96.0.10:53, answered by 10.244.1.11:5353";
const std::string dns_b = "UDP 10.244.1.100:4001 -> 10.96.0.10:53, answered by 10.96.0.10:53";
const std::string other_port = "UDP 10.244.1.100:4000 -> 10.96.0.10:54, answered by 10.244.1.11:5354";
const std::string other_address = "UDP 10.244.1.100:4000 -> 10.96.0.11:53, answered by 10.244.1.12:5353";
const std::string six = "UDP [fd00::64]:4000 -> [fd00::10]:53, answered by [fd00::b]:5353";
const std::string tcp_flow = "TCP 10.244.1.100:4000 -> 10.96.0.10:53, answered by 10.244.1.11:5353";

void create_some(FlowsSubject& subject) {
  subject.create({flow("10.244.1.100", 4000, "10.96.0.10", 53, "10.244.1.11", 5353),
                  flow("10.244.1.100", 4001, "10.96.0.10", 53, "10.96.0.10", 53),
                  flow("10.244.1.100", 4000, "10.96.0.10", 54, "10.244.1.11", 5354),
                  flow("10.244.1.100", 4000, "10.96.0.11", 53, "10.244.1.12", 5353),
                  flow("fd00::64", 4000, "fd00::10", 53, "fd00::b", 5353)});
  Flow tcp = flow("10.244.1.100", 4000, "10.96.0.10", 53, "10.244.1.11", 5353);
  tcp.protocol = Protocol::tcp;
  subject.create({tcp});
}

}  // namespace

TEST_CASE("flows are found by family, protocol, address and port") {
  const auto subject = make_flows();
  auto& flows = subject->flows();
  CHECK(list(flows, all()).empty());
  create_some(*subject);
  using Lines = std::vector<std::string>;
  CHECK(lines(flows, all()) == Lines{dns_a, other_port, other_address, dns_b});
  CHECK(lines(flows, all(Family::ipv6)) == Lines{six});
  CHECK(lines(flows, all(Family::ipv4, Protocol::tcp)) == Lines{tcp_flow});
  CHECK(lines(flows, {Family::ipv4, Protocol::udp, ip("10.96.0.10"), Port{53}}) == Lines{dns_a, dns_b});
  CHECK(lines(flows, {Family::ipv4, Protocol::udp, ip("10.96.0.10"), {}}) == Lines{dns_a, other_port, dns_b});
  CHECK(lines(flows, {Family::ipv4, Protocol::udp, {}, Port{53}}) == Lines{dns_a, other_address, dns_b});
  CHECK(lines(flows, {Family::ipv6, Protocol::udp, ip("fd00::10"), Port{53}}) == Lines{six});
  CHECK(lines(flows, {Family::ipv6, Protocol::udp, ip("fd00::11"), Port{53}}).empty());
}

TEST_CASE("a flow is deleted, and no other") {
  const auto subject = make_flows();
  auto& flows = subject->flows();
  create_some(*subject);
  const auto found = list(flows, {Family::ipv4, Protocol::udp, ip("10.96.0.10"), Port{53}});
  REQUIRE(found.size() == 2);
  CHECK(flows.remove(found).empty());
  CHECK(lines(flows, all()) == std::vector<std::string>{other_port, other_address});
  CHECK(lines(flows, all(Family::ipv4, Protocol::tcp)).size() == 1);
  CHECK(lines(flows, all(Family::ipv6)).size() == 1);
  CHECK(flows.remove(list(flows, all(Family::ipv6))).empty());
  CHECK(lines(flows, all(Family::ipv6)).empty());
  CHECK(flows.remove({}).empty());
  CHECK(lines(flows, all()).size() == 2);
}

TEST_CASE("what is gone is not found, nor is an entry by another's id") {
  const auto subject = make_flows();
  auto& flows = subject->flows();
  create_some(*subject);
  auto found = list(flows, all());
  REQUIRE(found.size() == 4);
  REQUIRE(flows.remove(std::span(found).subspan(2, 1)).empty());
  found[1].id ^= 1;
  const auto failures = flows.remove(found);
  REQUIRE(failures.size() == 2);
  CHECK(failures[0].index == 1);
  CHECK(failures[1].index == 2);
  for (const auto& failure : failures) CHECK(failure.error.code == Errc::not_found);
  CHECK(lines(flows, all()) == std::vector<std::string>{found[1].to_string()});
}

TEST_CASE("thousands of flows are found and deleted") {
  const auto subject = make_flows();
  auto& flows = subject->flows();
  std::vector<Flow> many;
  for (std::uint16_t i = 0; i < 3000; ++i)
    many.push_back(flow("10.244.1.100", static_cast<std::uint16_t>(1024 + i), "10.96.0.10", 53, "10.244.1.11", 5353));
  subject->create(many);
  const auto found = list(flows, {Family::ipv4, Protocol::udp, ip("10.96.0.10"), Port{53}});
  CHECK(lines(flows, all()).size() == 3000);
  // One that is not there, in the midst of those that are.
  std::vector<Flow> doomed = found;
  Flow missing = flow("10.244.1.100", 1023, "10.96.0.10", 53, "10.244.1.11", 5353);
  doomed.insert(doomed.begin() + 1500, missing);
  const auto failures = flows.remove(doomed);
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].index == 1500);
  CHECK(list(flows, all()).empty());
}
