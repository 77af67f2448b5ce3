// Keeps the constant iptables rules in place, on a thread of its own: iptables-restore takes as long as it takes, and
// it is never on the path of a change.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "daemon/config/config.hpp"
#include "ipset/iptables.hpp"
#include "model/objects.hpp"

namespace ipvsd {

// What the configuration and the Node (for detectLocalMode NodeCIDR; may be absent) mean for the rules of a family.
// `routed`: CIDRs that have a local route, whatever the configuration says now; they stay closed as long as they have
// it.
[[nodiscard]] RulesConfig rules_config(const Config& config, const Node* node, Family family,
                                       const std::vector<Cidr>& routed = {});

class RulesKeeper {
 public:
  // Called on the keeper's thread after each attempt: what it found and did, or why that failed. The keeper
  // tries again, after a second at first and then each `audit_period`.
  using Report = std::function<void(Family, const Result<Iptables::Ensured>&)>;
  // While `may_write` says no, the rules are left alone.
  RulesKeeper(
      Iptables iptables, std::chrono::seconds audit_period, Report report,
      std::function<bool()> may_write = [] { return true; });
  ~RulesKeeper() { stop(); }

  // The rules of this family are to be these, now and until told otherwise. Any thread.
  void want(Family family, RulesConfig config);
  // All that was wanted has been in place at least once. Any thread.
  [[nodiscard]] bool ready() const;
  // Ends the thread; a running iptables-restore is waited for (its own deadline is some seconds). Idempotent.
  void stop();

 private:
  struct PerFamily {
    std::optional<RulesConfig> wanted;
    bool dirty = false;
    bool in_place = false;
  };
  void run();

  Iptables iptables_;  // used by the thread only
  const std::chrono::seconds audit_period_;
  const Report report_;
  const std::function<bool()> may_write_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<PerFamily, families.size()> families_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ipvsd
