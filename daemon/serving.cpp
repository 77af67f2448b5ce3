#include "daemon/serving.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <random>

#include "daemon/config/config_file.hpp"
#include "daemon/config/family_check.hpp"
#include "daemon/config/options.hpp"
#include "daemon/config/service_cidrs.hpp"
#include "daemon/kernel/dry_run.hpp"
#include "daemon/loop/flow_sweeper.hpp"
#include "daemon/loop/loop.hpp"
#include "daemon/loop/node_policy.hpp"
#include "daemon/loop/proxy_watch.hpp"
#include "daemon/loop/rules_keeper.hpp"
#include "daemon/loop/sole_writer.hpp"
#include "daemon/preparations.hpp"
#include "daemon/report/event_recorder.hpp"
#include "daemon/report/reasons.hpp"
#include "daemon/serve/ctl_resources.hpp"
#include "daemon/serve/health_check_server.hpp"
#include "daemon/serve/other_proxy.hpp"
#include "daemon/serve/server.hpp"
#include "daemon/serve/shortage.hpp"
#include "daemon/serve/start_retry.hpp"
#include "daemon/source/api_source.hpp"
#include "daemon/source/manifest_source.hpp"
#include "daemon/source/service_cidr_watch.hpp"
#include "daemon/version.hpp"
#include "netlink/conntrack.hpp"

namespace ipvsd {
namespace {

std::unique_ptr<Source> make_source(const Flags& flags, const ApiAccess& access, const std::string& node,
                                    EventSink& sink, Metrics& metrics) {
  if (!flags.manifests.empty()) return std::make_unique<ManifestSource>(flags.manifests, sink, warn);
  ReflectorOptions options;
  options.observe = [&metrics](const ApiRequest& request) {
    metrics.api_request(request.host, request.method, request.status, request.until_answer);
  };
  return std::make_unique<ApiSource>(access, node, sink, warn, options);
}

// /healthz, /livez and /metrics, where they are wanted. A port that cannot be had is no reason not to serve Services,
// unless bindAddressHardFail says so.
class StatusServers {
 public:
  StatusServers(const Config& config, HealthState& health, Metrics& metrics, Shortage& shortage)
      : hard_(config.bind_address_hard_fail) {
    if (config.healthz) health_.emplace(*config.healthz, health, metrics, shortage);
    if (config.metrics) metrics_.emplace(*config.metrics, metrics, configz_json(config), shortage);
  }

  // False: one that must could not be started.
  [[nodiscard]] bool start(const std::string& node, const Record& record) {
    return (!health_ || start(*health_, health_retry_, node, record, health_server_failed_event)) &&
           (!metrics_ || start(*metrics_, metrics_retry_, node, record, metrics_server_failed_event));
  }

 private:
  template <class Server>
  bool start(Server& server, std::optional<StartRetry>& retry, const std::string& node, const Record& record,
             Event (*event)(const std::string&, const std::string&)) {
    const auto attempt = [&server]() -> Result<void> {
      if (const auto bound = server.bind(); !bound) return bound;
      return server.start();
    };
    const auto failed = [hard = hard_, node, record, event](const Error& error) {
      spdlog::error("{}{}", error.message(), hard ? "" : "; will retry");
      record(event(node, error.message()));
    };
    const auto started = attempt();
    if (started) return true;
    failed(started.error());
    if (!hard_) retry.emplace(attempt, failed, started.error());
    return !hard_;
  }

  const bool hard_;
  std::optional<HealthServer> health_;
  std::optional<MetricsServer> metrics_;
  std::optional<StartRetry> health_retry_;
  std::optional<StartRetry> metrics_retry_;
};

// Ends the source whichever way the loop ends: first the inbox lets go, where a reader may be waiting.
struct RunningSource {
  Inbox& inbox;
  Source& source;
  RunningSource(Inbox& its_inbox, Source& its_source) : inbox(its_inbox), source(its_source) { source.start(); }
  ~RunningSource() {
    inbox.close();
    source.stop();
  }
};

FlowSweeper::Report report_flows(Metrics& metrics) {
  return [&metrics, before = std::string()](const FlowSweeper::Pass& pass) mutable {
    metrics.conntrack_cleaned(pass.family, pass.took, pass.swept.deleted);
    const auto text = pass.swept.error ? pass.swept.error->message() : std::string();
    if (!text.empty() && text != before) warn(text + "; will retry");
    before = text;
    if (pass.swept.deleted > 0) spdlog::debug("deleted {} stale {} flows", pass.swept.deleted, to_string(pass.family));
  };
}

// What somebody said last, for another thread to repeat.
class LastWords {
 public:
  void set(std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  [[nodiscard]] std::string get() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

// Of both families, for metrics, the log and who asks what went wrong last.
RulesKeeper::Report report_rules(Metrics& metrics, LastWords& last_error, std::function<void()> then) {
  return [&metrics, &last_error, then = std::move(then), counters = std::array<CounterReading, families.size()>{},
          errors = std::array<std::string, families.size()>{}](Family family,
                                                               const Result<Iptables::Ensured>& ensured) mutable {
    const auto text = ensured ? std::string() : ensured.error().message();
    auto& before = errors[static_cast<std::size_t>(family)];
    if (!text.empty() && text != before) warn(text + "; will retry");
    before = text;
    last_error.set(errors[0].empty() ? errors[1] : errors[0]);
    if (!ensured) metrics.restore_failed(family);
    if (!ensured || ensured->wrote) metrics.rules_written(family, ensured.has_value());
    if (ensured && ensured->wrote) spdlog::info("wrote the iptables rules ({})", to_string(family));
    if (ensured)
      metrics.foreign_mark_packets(
          family, counters[static_cast<std::size_t>(family)].advance(ensured->foreign_marks, ensured->wrote));
    then();
  };
}

// What the rules are to be by configuration, Node and local routes. The loop's thread.
class WantedRules {
 public:
  WantedRules(RulesKeeper& keeper, const Config& config, const std::vector<Family>& served,
              const std::array<bool, families.size()>& serves, std::vector<Cidr> routed)
      : keeper_(keeper), config_(config), served_(served), serves_(serves), routed_(std::move(routed)) {}

  void by(const Node* node, const std::vector<Cidr>& routed) {
    routed_ = routed;
    by(node);
  }
  void by(const Node* node) {
    // By NodeCIDR the rules depend on the Node; they are not written without it, and not changed by its absence.
    if (node == nullptr && config_.detect_local_mode == DetectLocalMode::node_cidr) return;
    if (node != nullptr) {
      auto wrong = check_pod_cidrs(config_, node->pod_cidrs, serves_);
      if (wrong && wrong != told_) warn(*wrong);
      told_ = std::move(wrong);
    }
    for (const auto family : served_) keeper_.want(family, rules_config(config_, node, family, routed_));
  }

 private:
  RulesKeeper& keeper_;
  const Config& config_;
  const std::vector<Family>& served_;
  const std::array<bool, families.size()> serves_;
  std::vector<Cidr> routed_;
  std::optional<std::string> told_;
};

// What most users would set, had they known.
void advise(const Config& config, const Policy& policy) {
  if (policy.knows_outside == std::array<bool, 2>{} && !policy.by_pod_cidrs)
    spdlog::info(
        "no clusterCIDR or other local detector (detectLocalMode): with externalTrafficPolicy Local all clients, pods "
        "too, share the local endpoints, as with kube-proxy");
  if (config.node_port_addresses.empty() && !config.node_port_addresses_primary)
    spdlog::info("nodePortAddresses is unset: node ports are served on all addresses of the node; consider primary");
}

}  // namespace

int serve(const Flags& flags, const ApiAccess& access, Policy policy, LinuxKernel& kernel, Iptables iptables,
          const std::vector<Family>& served, const Fd& signals) {
  const auto complete = with_service_cidrs(flags, access, kernel, signals);
  if (!complete) return complete.error().code == Errc::interrupted ? 0 : give_up(complete.error());
  const Config& config = complete->config;
  policy.routed_cidrs = routed_cidrs(config);
  for (const auto family : families)
    policy.serves[static_cast<std::size_t>(family)] = std::find(served.begin(), served.end(), family) != served.end();
  const auto check = check_families(config, policy.serves);
  for (const auto& text : check.warnings) warn(text);
  if (check.fatal) return give_up({Errc::unsupported, 0, *check.fatal});
  SoleWriter sole([&] { return another_proxy(config); });
  if (!wait_until_alone(sole, signals)) return 0;

  HealthState health(Moment::now(), 2 * config.iptables_sync_period);
  Metrics metrics(version);
  std::optional<EventRecorder> events;
  if (flags.manifests.empty()) events.emplace(access, policy.node_name, metrics, warn);
  if (events) events->start();
  const Record record = [&](Event event) {
    if (events) events->record(std::move(event));
  };
  Shortage shortage(metrics, [](const Error& error) { warn(error.message() + "; will retry"); });
  StatusServers status_servers(config, health, metrics, shortage);
  if (!status_servers.start(policy.node_name, record)) {
    if (events) events->flush(std::chrono::seconds(5));
    return 1;
  }

  if (const auto probed = kernel.ipvs().probe_scheduler(policy.scheduler.name); !probed) return give_up(probed.error());
  (void)set_kernel_parameters(config, kernel, policy.node_name, record);
  Inbox inbox;
  const auto source = make_source(flags, access, policy.node_name, inbox, metrics);
  Reconciler reconciler(kernel, policy, config.bind_address, std::random_device{}(), warn);
  if (const auto started = reconciler.start(); !started) return give_up(started.error());

  ProxyWatch others([&] { return another_proxy_beside_us(config); }, std::chrono::seconds(2),
                    [&](const std::optional<std::string>& other) {
                      metrics.set_other_proxy(other.has_value());
                      if (other) spdlog::warn("{}: writing nothing more until it ends", *other);
                      if (!other) spdlog::info("the other proxy has ended; looking at everything again");
                      inbox.wake();
                    },
                    [](const Error& error) { warn(error.message() + "; will retry"); });
  auto conntrack = nl::Conntrack::open();
  if (!conntrack)
    spdlog::warn("{}: UDP clients may keep to what their Service was before", conntrack.error().message());
  std::optional<FlowSweeper> flows;
  if (conntrack) flows.emplace(*conntrack, report_flows(metrics));

  LastWords rules_error;
  RulesKeeper rules(std::move(iptables), config.own.rules_audit_period,
                    report_rules(metrics, rules_error, [&] { inbox.wake(); }), [&] { return others.alone(); });
  WantedRules wanted(rules, config, served, policy.serves, reconciler.ledger().routes().present());
  wanted.by(nullptr);
  Questions questions([&] { inbox.wake(); });
  HealthCheckServer health_checks(health, metrics, shortage,
                                  [&](const ObjectKey& service, const std::string& uid, const std::string& why) {
                                    warn(why + "; will retry");
                                    record(health_check_failed_event(service, uid, why));
                                  });
  if (const auto started = health_checks.start(); !started) return give_up(started.error());
  Loop loop({reconciler, kernel, inbox, health, metrics, signals.get(), [&] { return rules.ready(); },
             [&](const Node* node) { wanted.by(node); }, [&] { return source->status(); },
             [&](std::vector<FrontendFlows> frontends) {
               if (flows) flows->want(std::move(frontends));
             },
             [&](std::vector<HealthCheckChange> changes, const ListenAddresses& addresses) {
               health_checks.publish(std::move(changes), addresses);
             },
             [&](const ServiceNotice& notice) { record(notice_event(notice)); },
             [&](const LoopView& view) { return questions.answer_one(view); },
             [&](const std::vector<Cidr>& routes) { wanted.by(reconciler.cluster().node(), routes); },
             [&] { return others.alone(); }},
            {.once = flags.once, .audit_period = config.own.audit_period});
  const CtlFacts facts{version,
                       policy,
                       config_json(config),
                       health.started(),
                       [&] { return source->status(); },
                       [&](Moment now) { return health.answer(now); },
                       [&] { return rules_error.get(); }};
  CtlServer ctl(config.own.ctl_socket, ctl_resources(facts, questions), shortage);
  std::optional<StartRetry> ctl_retry;
  const auto no_ctl = [](const Error& error) { warn(error.message() + "; kube-ipvsctl cannot ask; will retry"); };
  if (config.own.ctl_socket != "none" && !flags.once)
    if (const auto started = ctl.start(); !started) {
      no_ctl(started.error());
      ctl_retry.emplace([&] { return ctl.start(); }, no_ctl, started.error());
    }
  const RunningSource running(inbox, *source);
  std::optional<ServiceCidrWatch> cidrs;
  if (asks_for_service_cidrs(flags) && !flags.once)
    cidrs.emplace(access, complete->found, config.own.audit_period, [] { ::kill(::getpid(), SIGTERM); });
  advise(config, policy);
  record(starting_event(policy.node_name));
  spdlog::info("kube-ipvsd {} serves node {} with scheduler {}", version, policy.node_name, policy.scheduler.name);
  const auto ended = loop.run();
  questions.close();
  if (!ended) return give_up(ended.error());
  if (cidrs && cidrs->has_changed()) {
    spdlog::error("the cluster has other Service CIDRs: ended, to be started again with what they are now");
    return 1;
  }
  spdlog::info("ended; the kernel's state stays as it is");
  return 0;
}

int dry_run(const Flags& flags, const ApiAccess& access, Policy policy, LinuxKernel& kernel, const Fd& signals) {
  keep_capabilities({Capability::net_admin});
  const auto complete = with_service_cidrs(flags, access, kernel, signals);
  if (!complete) return give_up(complete.error());
  policy.routed_cidrs = routed_cidrs(complete->config);
  DryRunKernel observed(kernel, [](const Operation& operation) { fmt::print("{}\n", to_string(operation)); });
  Inbox inbox;
  Metrics metrics(version);
  const auto source = make_source(flags, access, policy.node_name, inbox, metrics);
  Reconciler reconciler(observed, policy, flags.config.bind_address, 0, warn);
  if (const auto started = reconciler.start(); !started) return give_up(started.error());
  HealthState health(Moment::now());
  Loop loop({reconciler, observed, inbox, health, metrics, signals.get(), [] { return true; }, [](const Node*) {},
             [&] { return source->status(); }},
            {.once = true});
  const RunningSource running(inbox, *source);
  const auto ended = loop.run();
  return ended ? 0 : give_up(ended.error());
}

}  // namespace ipvsd
