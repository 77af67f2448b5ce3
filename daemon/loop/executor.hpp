// Carries a plan out, phase by phase, and writes down what became of each operation. The one place that knows what an
// error means for the row: done after all, try again, or look first.
#pragma once

#include <array>
#include <functional>
#include <unordered_set>

#include "daemon/loop/retries.hpp"

namespace ipvsd {

struct Tally {
  // By kind of target (Target::index()), verb, and 0 = done, 1 = failed.
  std::array<std::array<std::array<std::uint64_t, 2>, 3>, 4> operations{};
  std::uint64_t calls = 0;    // of Kernel::execute
  std::uint64_t skipped = 0;  // because what they rely on had failed
};

class Executor {
 public:
  // `report` is told each failure that is news, once.
  using Report = std::function<void(const Error&)>;
  Executor(Kernel& kernel, Ledger& ledger, Retries& retries, Report report)
      : kernel_(kernel), ledger_(ledger), retries_(retries), report_(std::move(report)) {}

  // - done: the ledger learns it, a retry is forgotten. Removing what is not there is done.
  // - "exists" or "not found" otherwise, or an outcome that was lost: the ledger was wrong; the virtual server is
  //   observed and planned again.
  // - any failure: the row is retried with backoff, and in later phases what relies on it is left out.
  void execute(const Plan& plan, Instant now);

  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  void execute(Phase phase, const std::vector<Operation>& operations, Instant now);
  void failed(Phase phase, const Operation& operation, const Error& error, Instant now);
  [[nodiscard]] bool blocked(const Operation& operation) const;
  void look_again();

  Kernel& kernel_;
  Ledger& ledger_;
  Retries& retries_;
  Report report_;
  Tally tally_;
  // Of the running plan: what failed, as the (address, protocol, port) it concerns; parts that are unset stand for all.
  std::unordered_set<VirtualServerKey> failed_;
  std::unordered_set<VirtualServerKey> doubtful_;
};

}  // namespace ipvsd
