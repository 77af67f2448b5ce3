// What an event costs, counted exactly: operations, messages and calls at the netlink sockets, allocations. Never
// times. A number that grows here is an event that got dearer; one that shrinks wants to be written down. All system
// calls of a change are counted in test/kernel/scale_test.sh.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "bench/allocations.hpp"
#include "bench/null_kernel.hpp"
#include "bench/objects.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "daemon/source/decode.hpp"

using namespace ipvsd;
using namespace ipvsd::bench;

namespace {

constexpr std::size_t services = 40;

struct Lists {
  explicit Lists(const Cluster& cluster) {
    std::string name = (std::filesystem::temp_directory_path() / "cost_test.XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    write_lists(cluster, path);
  }
  ~Lists() { std::filesystem::remove_all(path); }
  std::string path;
};

struct Cost {
  std::uint64_t operations = 0;
  std::uint64_t messages = 0;  // netlink
  std::uint64_t sends = 0;
  std::uint64_t receives = 0;
  std::uint64_t dumps = 0;
  std::uint64_t allocations = 0;
};

// The daemon's path, synced with a cluster of UDP Services of ten endpoints: their destinations leave at once.
struct Running {
  explicit Running(std::size_t endpoints = 10)
      : cluster{services, endpoints, Protocol::udp},
        lists(cluster),
        linux_kernel(open_kernel()),
        kernel(linux_kernel),
        reconciler(kernel, policy(), {}, 1, warn) {
    REQUIRE(reconciler.start());
  }
  void sync() {
    DirectSink sink(reconciler);
    read_lists(lists.path, sink);
    settle(reconciler, kernel);
  }
  template <class Work>
  Cost cost_of(Work work) {
    const auto calls = netlink_calls();
    const auto operations = kernel.operations;
    const auto before = allocations();
    work();
    const auto after = allocations();
    const auto now = netlink_calls();
    return {kernel.operations - operations, now.messages - calls.messages, now.sends - calls.sends,
            now.receives - calls.receives,  now.dumps - calls.dumps,       after - before};
  }
  void apply(Kind kind, const std::string& frame) {
    auto read = decoder.watch_frame(kind, frame);
    reconciler.apply(Upsert{std::move((*read->object)->object)});
    settle(reconciler, kernel);
  }

  // One endpoint replaced by another, by a decoder and a daemon that have seen this slice before.
  Cost cost_of_change() {
    sync();
    apply(Kind::endpoint_slice, slice_frame(cluster, 5, 1, 20000));  // buffers have their size
    apply(Kind::endpoint_slice, slice_frame(cluster, 7, 0, 20001));
    const std::string frame = slice_frame(cluster, 7, 1, 20002);
    return cost_of([&] { apply(Kind::endpoint_slice, frame); });
  }

  Cluster cluster;
  Lists lists;
  LinuxKernel linux_kernel;
  WatchedKernel kernel;
  Reconciler reconciler;
  Decoder decoder;
};

}  // namespace

TEST_CASE("a cold start costs its operations and few sends") {
  Running daemon;
  const Cost cost = daemon.cost_of([&] { daemon.sync(); });
  // A virtual server, ten destinations, an address, two set entries each; LOOP-BACK for what is on this daemon.
  CHECK(cost.operations == services * 14 + 4);
  CHECK(cost.dumps == 0);
  INFO("messages " << cost.messages << " sends " << cost.sends << " receives " << cost.receives << " allocations "
                   << cost.allocations);
  CHECK(cost.messages == 484);
  CHECK(cost.sends == 6);
  CHECK(cost.receives == 10);
  CHECK(cost.allocations == 1870);
}

TEST_CASE("one endpoint changed costs two operations, however many Services there are") {
  Running daemon;
  const Cost cost = daemon.cost_of_change();
  CHECK(cost.operations == 2);
  CHECK(cost.messages == 2);
  CHECK(cost.sends == 1);
  CHECK(cost.receives == 2);  // an acknowledgement, and whether there is a notification
  CHECK(cost.dumps == 0);
  CHECK(cost.allocations == 30);
}

TEST_CASE("endpoints that stay as they are cost no allocation") {
  Running large(10);
  Running small(2);
  CHECK(large.cost_of_change().allocations == small.cost_of_change().allocations);
}

TEST_CASE("an event that changes nothing, and a turn of the loop with nothing to do, cost nothing") {
  Running daemon;
  daemon.sync();
  const std::string frame = slice_frame(daemon.cluster, 7, 0, 20001);
  daemon.apply(Kind::endpoint_slice, frame);  // the decoder has seen its names
  const Cost same = daemon.cost_of([&] { daemon.apply(Kind::endpoint_slice, frame); });
  CHECK(same.operations == 0);
  CHECK(same.messages == 0);
  CHECK(same.allocations == 6);  // all of it decoding

  bool more = true;
  const Cost turn = daemon.cost_of([&] { more = daemon.reconciler.step(std::chrono::steady_clock::now()); });
  CHECK_FALSE(more);
  CHECK(turn.operations == 0);
  CHECK(turn.messages == 0);
  CHECK(turn.receives == 0);
  CHECK(turn.allocations == 0);
}
