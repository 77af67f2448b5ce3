// Deletes stale flows, on a thread of its own: a look at a large connection tracking table takes as long as it takes,
// and it is never on the path of a change.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "reconcile/flows.hpp"

namespace ipvsd {

struct Swept {
  std::size_t deleted = 0;
  std::optional<Error> error;  // what was found before it is deleted all the same
};
// One look at the table, and the deletion of what is stale.
[[nodiscard]] Swept sweep(Flows& flows, const FlowSearch& search);

class FlowSweeper {
 public:
  struct Pass {
    Family family = Family::ipv4;
    std::chrono::duration<double> took{};
    Swept swept;
  };
  // Called on the sweeper's thread after each look.
  using Report = std::function<void(const Pass&)>;
  // `flows` is used by the thread only.
  FlowSweeper(Flows& flows, Report report);
  ~FlowSweeper() { stop(); }

  // The flows of these frontends are to be looked at, after all that has been written by now. What comes while a look
  // is under way shares the next one. What fails is tried again, after a second at first. Looking takes a tenth of the
  // time at most. Any thread, never waits for a look.
  void want(std::vector<FrontendFlows> frontends);
  // Ends the thread, after one attempt at what still waits. Idempotent.
  void stop();

 private:
  void run();
  // Returns those that have to be looked at again.
  [[nodiscard]] std::vector<FrontendFlows> look(std::vector<FrontendFlows> frontends);

  Flows& flows_;
  const Report report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  UnsettledFlows unsettled_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ipvsd
