// Random histories of a cluster, for what must hold whatever the history; the same against the fake and the real
// kernel.
#pragma once

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "daemon/loop/reconciler.hpp"
#include "test/fake/fake_kernel.hpp"

namespace ipvsd::test {

// Node "here" without a local detector; and with one, so that outside clients get marks.
[[nodiscard]] Policy plain_policy();
[[nodiscard]] Policy marking_policy();

using Objects = std::map<std::pair<Kind, ObjectKey>, Object>;

// The reconciler of node "here" on a kernel, fed directly; time passes only in settle().
class SimulatedNode {
 public:
  explicit SimulatedNode(Kernel& kernel, Policy its_policy = plain_policy())
      : policy(std::move(its_policy)), kernel_(kernel) {}

  // A daemon starts and sees all objects.
  void start();
  // The same, before the first step.
  void start_unsettled();
  void apply(const Object& object);
  void remove(Kind kind, const ObjectKey& key);
  // Steps, with time passing, until nothing is left to do. Bounded: an endless retry is a failure.
  void settle();
  // text_of() the kernel, with marks numbered by what they stand for: which values they have depends on the history.
  [[nodiscard]] std::string text();

  Policy policy;
  std::size_t services_per_step = 256;
  std::optional<Reconciler> reconciler;
  Objects objects;
  std::vector<std::string> log;
  Instant now{};

 private:
  Kernel& kernel_;
};

// Marks become numbers in the order of what they stand for.
[[nodiscard]] KernelState with_marks_numbered(KernelState state);

// One with the address 192.168.77.2, on a kernel of its own.
class FakeNode : public SimulatedNode {
 public:
  explicit FakeNode(Policy its_policy = plain_policy()) : SimulatedNode(kernel, std::move(its_policy)) {
    kernel.add_node_address("eth0", "192.168.77.2", 24);
  }

  FakeKernel kernel;
};

// One change: `object` appears as it is now, or goes.
struct Change {
  Kind kind;
  ObjectKey key;
  std::optional<Object> object;
};
[[nodiscard]] Change random_change(std::mt19937& random);

// Every object changes several times, some go, slices change their Service, the Node its zone.
void random_history(SimulatedNode& node, std::mt19937& random, int length);

// What a daemon makes of the objects in an empty (fake) kernel of a node with the address 192.168.77.2, as text().
[[nodiscard]] std::string from_scratch(const Objects& objects, const Policy& policy = plain_policy());

// 31 bits, so that it can be typed in again: IPVSD_SEED, else 1.
[[nodiscard]] std::uint32_t first_seed();

}  // namespace ipvsd::test
