// Scenarios: Kubernetes YAML in, the kernel's state as text out. Each NAME.yaml under scenarios/ is applied in both
// orders of arrival on a node lab-node (zone-a) with the addresses 192.168.77.2 and fd00:77::2; NAME.txt is what must
// be in the kernel then; in those called route-* the Service CIDRs 10.96.0.0/16 and fd00:10:96::/112 are routed. With
// GOLDEN_UPDATE=1 in the environment the .txt files are written instead, for review.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/loop/reconciler.hpp"
#include "daemon/source/manifest_file.hpp"
#include "os/file.hpp"
#include "test/fake/fake_kernel.hpp"

using namespace ipvsd;

namespace {

std::vector<Object> objects_of(const std::filesystem::path& file) {
  const auto manifest = read_manifest(file.filename().string(), *read_small_file(file, 1 << 20));
  REQUIRE(manifest);
  CHECK(manifest->problems == std::vector<std::string>{});
  std::vector<Object> objects;
  for (const auto& entry : manifest->entries) {
    REQUIRE(entry.object);
    objects.push_back(*entry.object);
  }
  return objects;
}

Node lab_node() {
  Node node;
  node.name = "lab-node";
  node.zone = "zone-a";
  node.addresses = {*IpAddress::parse("192.168.77.2"), *IpAddress::parse("fd00:77::2")};
  return node;
}

std::string kernel_after(const std::vector<Object>& objects, bool routed) {
  test::FakeKernel kernel;
  kernel.add_node_address("lo", "127.0.0.1", 8);
  kernel.add_node_address("eth0", "192.168.77.2", 24);
  kernel.add_node_address("eth0", "fd00:77::2", 64);
  std::vector<std::string> log;
  Policy policy{{"rr", 0}, "lab-node"};
  policy.knows_outside = {true, true};
  policy.outside_mask = 0x307f;
  if (routed) policy.routed_cidrs = {*Cidr::parse("10.96.0.0/16"), *Cidr::parse("fd00:10:96::/112")};
  Reconciler reconciler(kernel, policy, std::nullopt, 1, [&](const std::string& text) { log.push_back(text); });
  REQUIRE(reconciler.start());
  for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
    reconciler.apply(ReplaceBegin{kind});
    reconciler.apply(ReplaceEnd{kind});
  }
  reconciler.apply(Upsert{lab_node()});
  // One by one, so that every state in between is written as well.
  Instant now{};
  for (const auto& object : objects) {
    reconciler.apply(Upsert{object});
    while (reconciler.step(now)) {
    }
    reconciler.poll_drains(now, 64);
    reconciler.poll_drains(now, 64);
  }
  CHECK(reconciler.idle());
  return kernel.text();
}

}  // namespace

TEST_CASE("scenarios") {
  const std::filesystem::path directory = GOLDEN_DIR;
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() != ".yaml") continue;
    ++count;
    DYNAMIC_SECTION(file.path().stem().string()) {
      auto objects = objects_of(file.path());
      const bool routed = file.path().stem().string().starts_with("route-");
      const auto text = kernel_after(objects, routed);
      auto expected = file.path();
      expected.replace_extension(".txt");
      if (std::getenv("GOLDEN_UPDATE") != nullptr) std::ofstream(expected) << text;
      CHECK(text == *read_small_file(expected, 1 << 20));
      std::reverse(objects.begin(), objects.end());
      CHECK(kernel_after(objects, routed) == text);
    }
  }
  CHECK(count >= 10);
}
