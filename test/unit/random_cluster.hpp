// Random histories of a cluster, for what must hold whatever the history; the same against the fake and the real
// kernel.
#pragma once

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "daemon/loop/reconciler.hpp"

namespace ipvsd::test {

using Objects = std::map<std::pair<Kind, ObjectKey>, Object>;

// The reconciler of node "here" on a kernel, fed directly; time passes only in settle().
class SimulatedNode {
 public:
  explicit SimulatedNode(Kernel& kernel) : kernel_(kernel) {}

  // A daemon starts and sees all objects.
  void start();
  // The same, before the first step.
  void start_unsettled();
  void apply(const Object& object);
  void remove(Kind kind, const ObjectKey& key);
  // Steps, with time passing, until nothing is left to do. Bounded: an endless retry is a failure.
  void settle();

  std::optional<Reconciler> reconciler;
  Objects objects;
  Policy policy{{"rr", 0}, "here"};
  std::vector<std::string> log;
  Instant now{};

 private:
  Kernel& kernel_;
};

// Every object changes several times, some go, slices change their Service, the Node its zone.
void random_history(SimulatedNode& node, std::mt19937& random, int length);

// What a daemon makes of the objects in an empty (fake) kernel of a node with the address 192.168.77.2, as text().
[[nodiscard]] std::string from_scratch(const Objects& objects);

// 31 bits, so that it can be typed in again: IPVSD_SEED, else 1.
[[nodiscard]] std::uint32_t first_seed();

}  // namespace ipvsd::test
