// Compares the kernel's IPVS and sets with the ledger, a bounded piece at a time. What differs is in the ledger then,
// and repaired with the next plan. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "reconcile/ledger.hpp"

namespace ipvsd {

// How much is looked at how often, so that a pass takes `period`, and no look is long.
struct AuditPace {
  std::size_t servers;
  std::size_t sets;
  std::chrono::milliseconds tick;
};
[[nodiscard]] AuditPace audit_pace(std::size_t servers, std::chrono::seconds period);

class Auditor {
 public:
  Auditor(Kernel& kernel, Ledger& ledger) : kernel_(kernel), ledger_(ledger) {}

  // Looks at so many virtual servers and sets (or pieces of a large one), the next ones. Returns true at the end of a
  // pass over everything.
  [[nodiscard]] bool look(std::size_t servers, std::size_t sets);
  // Begins a new pass.
  void start_over();

  struct Differences {
    std::uint64_t servers = 0;
    std::uint64_t entries = 0;
  };
  [[nodiscard]] const Differences& differences() const { return differences_; }
  // True once after a set was not there. Without it the rules that refer to it cannot be written.
  [[nodiscard]] bool take_set_missing() { return std::exchange(set_missing_, false); }

 private:
  [[nodiscard]] bool look_at_servers(std::size_t limit);
  [[nodiscard]] bool next_listed();
  void check(const VirtualServer& listed);
  void observe(const VirtualServerKey& key);
  [[nodiscard]] bool look_at_piece(IpSet set);
  [[nodiscard]] bool unreadable(const Error& error);

  Kernel& kernel_;
  Ledger& ledger_;
  Differences differences_;

  // The listing tells which virtual servers there are; what it leaves out is asked for one by one.
  std::vector<VirtualServer> listed_;  // the last piece
  std::size_t position_ = 0;           // in it
  bool more_listed_ = true;
  std::vector<VirtualServerKey> left_out_;
  bool more_rows_ = true;  // of the ledger, to be gone through for these

  bool set_missing_ = false;
  std::size_t set_ = 0;
  std::size_t seen_ = 0;   // members of that set so far
  std::size_t known_ = 0;  // of these, known to be there
};

}  // namespace ipvsd
