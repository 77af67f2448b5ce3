// The loop: one thread that owns all state and every kernel handle, and sleeps in epoll until something happens.
#pragma once

#include <array>
#include <functional>
#include <map>

#include "daemon/loop/inbox.hpp"
#include "daemon/loop/loop_view.hpp"
#include "daemon/loop/reconciler.hpp"
#include "daemon/serve/health.hpp"
#include "daemon/serve/metrics.hpp"
#include "daemon/source/source.hpp"

namespace ipvsd {

class Loop {
 public:
  struct Parts {
    Reconciler& reconciler;
    Kernel& kernel;
    Inbox& inbox;
    HealthState& health;
    Metrics& metrics;
    int signal_fd;                         // SIGTERM, SIGINT: ends the loop
    std::function<bool()> rules_in_place;  // nothing is written before
    std::function<void(const Node*)> node_changed;
    std::function<std::vector<WatchStatus>()> watches;  // for the metrics
    // Is told the frontends whose flows have to be looked at; must not wait for that.
    std::function<void(std::vector<FrontendFlows>)> sweep_flows = [](const auto&) {};
    // What changed of the health checks, once the kernel has it; and where they are answered.
    std::function<void(std::vector<HealthCheckChange>, const ListenAddresses&)> health_checks = {};
    std::function<void(const ServiceNotice&)> notice = {};
    // Lets somebody look, once a turn; returns whether another waits to.
    std::function<bool(const LoopView&)> answer = [](const LoopView&) { return false; };
    // The CIDRs with a local route have become these.
    std::function<void(const std::vector<Cidr>&)> routed = [](const auto&) {};
    std::function<bool()> alone = [] { return true; };  // nothing is written while another proxy lives
  };
  struct Options {
    bool once = false;  // end after the first full sync, with an error if part of it keeps failing
    std::chrono::seconds audit_period{300};
  };

  Loop(Parts parts, Options options);

  // Until a signal, or with `once` until the first full sync. Error: epoll failed, or what `once` could not write.
  [[nodiscard]] Result<void> run();

 private:
  [[nodiscard]] Result<void> watch(int fd, std::uint32_t events);
  // `notified`: the kernel has something to say.
  void take_events(const Moment& now, bool notified);
  // Returns whether more work waits.
  bool work(const Moment& now);
  // What `once` ends with; empty while failures still have their first retries before them.
  [[nodiscard]] std::optional<Result<void>> once_result() const;
  [[nodiscard]] int timeout_ms(Instant now, bool more) const;
  // Tells others what a step has brought about.
  void publish();
  void report();
  void report_watches(Instant now);

  Parts parts_;
  Options options_;
  Fd epoll_;
  std::optional<Moment> last_event_;
  Instant next_drain_poll_{};
  Instant next_audit_{};
  bool disturbed_ = false;  // another proxy lives, or lived until now
  bool pending_ = false;    // something waits to be written, and health knows
  bool syncing_ = false;    // it is being written, since:
  Instant sync_began_{};
  struct {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
  } before_;  // operations when that began
  std::optional<Node> node_;
  ListenAddresses published_addresses_;
  std::vector<Cidr> published_routes_;
  Tally reported_;
  Reconciler::Counters reported_counters_;
  std::map<std::string, std::uint64_t> reported_watches_;  // by resource
  Instant next_watch_report_{};
};

}  // namespace ipvsd
