// Carries a plan out, phase by phase, and writes down what became of each operation. The one place that knows what an
// error means for the row: done after all, try again, or look first.
#pragma once

#include <array>
#include <functional>
#include <span>

#include "daemon/loop/retries.hpp"
#include "reconcile/flows.hpp"

namespace ipvsd {

struct Tally {
  // By kind of target (Target::index()), verb, and 0 = done, 1 = failed.
  std::array<std::array<std::array<std::uint64_t, 2>, 3>, target_kinds> operations{};
  std::uint64_t calls = 0;    // of Kernel::execute
  std::uint64_t skipped = 0;  // because something they rely on had failed

  // All operations with this result, 0 or 1.
  [[nodiscard]] std::uint64_t count(std::size_t result) const;
};

class Executor {
 public:
  // `report` is told each failure that is news, once.
  using Report = std::function<void(const Error&)>;
  Executor(Kernel& kernel, Ledger& ledger, Retries& retries, Report report)
      : kernel_(kernel), ledger_(ledger), retries_(retries), report_(std::move(report)) {
    unlearned_.reserve(phase_count);
  }

  // - done: the ledger learns it. Removing what is not there is done.
  // - "exists" or "not found" otherwise, or an outcome that was lost: the ledger was wrong; the virtual server is
  //   observed and planned again. Set entries and addresses are idempotent, and just written again.
  // - any failure: the row is retried with backoff, and what relies on it waits, in this plan and in later ones.
  void execute(const Plan& plan, Instant now);

  // The rows whose operations waited for others, to be planned again; empties the list.
  [[nodiscard]] std::vector<ObjectId> take_waiting();

  // The frontends whose flows have to be looked at because of what was written; empties the list.
  [[nodiscard]] std::unordered_set<VirtualServerKey> take_unsettled() { return std::exchange(unsettled_, {}); }

  // True once after the link or a set that an operation needs was not there.
  [[nodiscard]] bool take_unprepared() { return std::exchange(unprepared_, false); }

  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  void execute(Phase phase, const std::vector<Operation>& operations, Instant now);
  [[nodiscard]] bool blocked(Phase phase, const Operation& operation) const;
  [[nodiscard]] std::vector<Operation> unblocked(Phase phase, const std::vector<Operation>& operations);
  void learn();
  void done(const Operation& operation);
  void failed(Phase phase, const Operation& operation, const Error& error, Instant now);
  void look_again();

  Kernel& kernel_;
  Ledger& ledger_;
  Retries& retries_;
  Report report_;
  Tally tally_;
  // Phases of the plan at hand that the kernel has acknowledged as a whole. Nobody asks what they did before something
  // fails, so the kernel need not wait for the ledger between them.
  std::vector<std::span<const Operation>> unlearned_;
  std::vector<ObjectId> waiting_;
  std::unordered_set<Subject> held_;  // owners of virtual servers among these that are to go
  std::unordered_set<VirtualServerKey> unsettled_;
  bool unprepared_ = false;
};

}  // namespace ipvsd
