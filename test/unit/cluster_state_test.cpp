#include <catch2/catch.hpp>

#include "reconcile/cluster_state.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

TEST_CASE("events in any order between kinds give one state") {
  const auto service = cluster_ip_service("web", "10.96.0.1");
  const auto endpoints = slice("web", {endpoint("10.244.1.1")});
  for (const bool service_first : {true, false}) {
    ClusterState state("here");
    std::vector<ClusterEvent> events{Upsert{service}, Upsert{endpoints}};
    if (!service_first) std::swap(events[0], events[1]);
    for (auto& event : events) state.apply(event);
    CHECK(state.take_touched() == service.key);
    CHECK_FALSE(state.take_touched());
    CHECK(state.slices_of(service.key).size() == 1);
    for (auto& event : events) state.apply(event);
    CHECK_FALSE(state.take_touched());  // the same again changes nothing
  }
}

TEST_CASE("a replacement sweeps what it does not mention, and only at its end") {
  ClusterState state("here");
  state.apply(ReplaceBegin{Kind::service});
  for (const auto* name : {"a", "b", "c"}) state.apply(Upsert{cluster_ip_service(name, "10.96.0.1")});
  CHECK_FALSE(state.synced());
  state.apply(ReplaceEnd{Kind::service});
  state.apply(ReplaceBegin{Kind::endpoint_slice});
  state.apply(ReplaceEnd{Kind::endpoint_slice});
  CHECK_FALSE(state.synced());
  state.apply(ReplaceBegin{Kind::node});
  state.apply(ReplaceEnd{Kind::node});
  CHECK(state.synced());
  while (state.take_touched()) {
  }
  state.apply(ReplaceBegin{Kind::service});
  state.apply(Upsert{cluster_ip_service("a", "10.96.0.1")});
  state.apply(ReplaceBegin{Kind::service});  // the first one broke off
  state.apply(Keep{Kind::service, {"default", "b"}});
  state.apply(Upsert{cluster_ip_service("a", "10.96.0.1")});
  CHECK_FALSE(state.take_touched());
  state.apply(ReplaceEnd{Kind::service});
  CHECK(state.take_touched() == ObjectKey{"default", "c"});
  CHECK_FALSE(state.take_touched());
  CHECK(state.service({"default", "b"}) != nullptr);
  CHECK(state.service({"default", "c"}) == nullptr);
}

TEST_CASE("beyond the limit new objects are left out, those that are held go on, and room is used again") {
  ClusterState state("here", 2);
  const auto add = [&](const std::string& name, const std::string& address = "10.96.0.1") {
    return state.apply(Upsert{cluster_ip_service(name, address)});
  };
  const auto list = [&](const std::vector<std::string>& names) {
    bool left_out = false;
    state.apply(ReplaceBegin{Kind::service});
    for (const auto& name : names) left_out = add(name) || left_out;
    state.apply(ReplaceEnd{Kind::service});
    return left_out;
  };
  // Slices that come before their Services take no Service's room.
  for (const auto* name : {"c", "d"}) CHECK_FALSE(state.apply(Upsert{slice(name, {endpoint("10.244.1.1")})}));
  CHECK_FALSE(list({"a", "b"}));
  CHECK(state.complete());

  const auto third = add("c");
  REQUIRE(third);
  CHECK(third->kind == Kind::service);
  CHECK(third->key == ObjectKey{"default", "c"});
  CHECK(third->first);
  CHECK_FALSE(add("d").value().first);
  CHECK(state.service({"default", "c"}) == nullptr);
  CHECK_FALSE(state.complete());  // absence proves nothing now
  CHECK_FALSE(add("a", "10.96.0.9"));
  CHECK(state.service({"default", "a"})->cluster_ips == std::vector{ip("10.96.0.9")});
  const auto third_slice = state.apply(Upsert{slice("a", {endpoint("10.244.1.1")})});
  REQUIRE(third_slice);
  CHECK(third_slice->first);  // of its kind
  state.apply(Remove{Kind::endpoint_slice, {"default", "a-a"}});
  state.apply(Upsert{Node{"here", "", {}, {}, true}});
  CHECK(state.node() != nullptr);

  state.apply(Remove{Kind::service, {"default", "c"}});  // it was never here
  CHECK(add("c"));
  state.apply(Remove{Kind::service, {"default", "b"}});
  CHECK_FALSE(add("c"));
  CHECK(state.service({"default", "c"}) != nullptr);
  CHECK(state.slices_of({"default", "c"}).size() == 1);
  CHECK_FALSE(state.complete());
  CHECK(list({"a", "c", "d"}));
  CHECK_FALSE(list({"a", "c"}));
  CHECK_FALSE(state.complete());  // a slice was left out
  state.apply(ReplaceBegin{Kind::endpoint_slice});
  state.apply(ReplaceEnd{Kind::endpoint_slice});
  CHECK(state.complete());
  CHECK(add("d").value().first);
}

TEST_CASE("what could not be read and is not known is remembered up to the limit, and beyond it not forgotten") {
  ClusterState state("here", 2);
  state.apply(ReplaceBegin{Kind::service});
  for (const auto* name : {"a", "b", "c"}) state.apply(Keep{Kind::service, {"default", name}});
  state.apply(ReplaceEnd{Kind::service});
  for (const auto* name : {"a", "b"}) state.apply(Remove{Kind::service, {"default", name}});
  CHECK_FALSE(state.complete());
  state.apply(ReplaceBegin{Kind::service});
  state.apply(ReplaceEnd{Kind::service});
  CHECK(state.complete());
}

TEST_CASE("a slice that changes its Service leaves the old one") {
  ClusterState state("here");
  auto moving = slice("old", {endpoint("10.244.1.1")});
  state.apply(Upsert{moving});
  (void)state.take_touched();
  moving.service = "new";
  state.apply(Upsert{moving});
  CHECK(state.slices_of({"default", "old"}).empty());
  CHECK(state.slices_of({"default", "new"}).size() == 1);
  CHECK(state.take_touched() == ObjectKey{"default", "old"});
  CHECK(state.take_touched() == ObjectKey{"default", "new"});
  moving.ignored = true;
  state.apply(Upsert{moving});
  CHECK(state.slices_of({"default", "new"}).empty());
}

TEST_CASE("the cluster's own Services go first") {
  ClusterState state("here");
  state.apply(Upsert{cluster_ip_service("web", "10.96.0.9")});
  auto dns = cluster_ip_service("kube-dns", "10.96.0.10");
  dns.key.ns = "kube-system";
  state.apply(Upsert{dns});
  state.apply(Upsert{cluster_ip_service("kubernetes", "10.96.0.1")});
  CHECK(state.take_touched() == dns.key);
  CHECK(state.take_touched() == ObjectKey{"default", "kubernetes"});
  CHECK(state.take_touched() == ObjectKey{"default", "web"});
}

TEST_CASE("at the start the oldest Service is looked at first") {
  ClusterState state("here");
  state.apply(ReplaceBegin{Kind::service});
  for (const auto& [name, created] : std::vector<std::pair<std::string, int>>{{"c", 3}, {"a", 5}, {"d", 1}, {"b", 3}}) {
    auto service = cluster_ip_service(name, "10.96.0.1");
    service.created = std::chrono::sys_seconds(std::chrono::seconds(created));
    state.apply(Upsert{service});
  }
  state.apply(ReplaceEnd{Kind::service});
  state.order_by_age();
  std::string order;
  while (const auto key = state.take_touched()) order += key->name;
  CHECK(order == "dbca");
}

TEST_CASE("what changes after it was written does not wait behind a cold start") {
  ClusterState state("here");
  auto web = cluster_ip_service("web", "10.96.0.9");
  state.apply(Upsert{web});
  CHECK(state.take_touched() == web.key);
  for (int i = 0; i < 50; ++i)
    state.apply(Upsert{cluster_ip_service("app-" + std::to_string(i), "10.96.1." + std::to_string(i + 1))});
  state.apply(Upsert{slice("web", {endpoint("10.244.1.1")})});
  CHECK(state.take_touched() == web.key);
  CHECK(state.touched() == 50);
}
