// kube-ipvsd: wiring only. What it does is in the parts that this file puts together.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <random>
#include <thread>

#include "daemon/check/preflight.hpp"
#include "daemon/config/config_file.hpp"
#include "daemon/config/config_watch.hpp"
#include "daemon/config/family_check.hpp"
#include "daemon/config/flags.hpp"
#include "daemon/config/key_files.hpp"
#include "daemon/config/kubeconfig.hpp"
#include "daemon/config/options.hpp"
#include "daemon/config/service_cidrs.hpp"
#include "daemon/kernel/dry_run.hpp"
#include "daemon/kernel/linux_kernel.hpp"
#include "daemon/loop/cleanup.hpp"
#include "daemon/loop/flow_sweeper.hpp"
#include "daemon/loop/hand_over.hpp"
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
#include "os/memory.hpp"
#include "os/privileges.hpp"

using namespace ipvsd;

namespace {

// One line that says what is missing, exit status 1.
int give_up(const Error& error) {
  spdlog::error("{}", error.message());
  return 1;
}

std::unique_ptr<Source> make_source(const Flags& flags, const ApiAccess& access, const std::string& node,
                                    EventSink& sink, Metrics& metrics) {
  if (!flags.manifests.empty()) return std::make_unique<ManifestSource>(flags.manifests, sink, warn);
  ReflectorOptions options;
  options.observe = [&metrics](const ApiRequest& request) {
    metrics.api_request(request.host, request.method, request.status, request.until_answer);
  };
  return std::make_unique<ApiSource>(access, node, sink, warn, options);
}

// A port that cannot be had is no reason not to serve Services, unless bindAddressHardFail says so.
template <class Server>
bool start_server(Server& server, bool hard, std::optional<StartRetry>& retry,
                  const std::function<void(const Error&)>& failed) {
  const auto start = [&server]() -> Result<void> {
    if (const auto bound = server.bind(); !bound) return bound;
    return server.start();
  };
  const auto started = start();
  if (started) return true;
  failed(started.error());
  if (!hard) retry.emplace(start, failed, started.error());
  return !hard;
}

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
  std::optional<HealthServer> health_server;
  std::optional<MetricsServer> metrics_server;
  if (config.healthz) health_server.emplace(*config.healthz, health, metrics, shortage);
  if (config.metrics) metrics_server.emplace(*config.metrics, metrics, configz_json(config), shortage);
  const bool hard = config.bind_address_hard_fail;
  std::array<std::optional<StartRetry>, 2> retries;
  const auto failed = [&](auto make_event) {
    return [&, make_event](const Error& error) {
      spdlog::error("{}{}", error.message(), hard ? "" : "; will retry");
      record(make_event(policy.node_name, error.message()));
    };
  };
  if ((health_server && !start_server(*health_server, hard, retries[0], failed(health_server_failed_event))) ||
      (metrics_server && !start_server(*metrics_server, hard, retries[1], failed(metrics_server_failed_event)))) {
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
  RulesKeeper rules(
      std::move(iptables), config.own.rules_audit_period,
      [&, counters = std::array<CounterReading, families.size()>{},
       errors = std::array<std::string, families.size()>{}](Family family,
                                                            const Result<Iptables::Ensured>& ensured) mutable {
        const auto text = ensured ? std::string() : ensured.error().message();
        auto& before = errors[static_cast<std::size_t>(family)];
        if (!text.empty() && text != before) warn(text + "; will retry");
        before = text;
        rules_error.set(errors[0].empty() ? errors[1] : errors[0]);
        if (!ensured) metrics.restore_failed(family);
        if (!ensured || ensured->wrote) metrics.rules_written(family, ensured.has_value());
        if (ensured && ensured->wrote) spdlog::info("wrote the iptables rules ({})", to_string(family));
        if (ensured)
          metrics.foreign_mark_packets(
              family, counters[static_cast<std::size_t>(family)].advance(ensured->foreign_marks, ensured->wrote));
        inbox.wake();
      },
      [&] { return others.alone(); });
  std::optional<std::string> told;
  auto routed = reconciler.ledger().routes().present();
  const auto want_rules = [&](const Node* node) {
    if (node != nullptr) {
      auto wrong = check_pod_cidrs(config, node->pod_cidrs, policy.serves);
      if (wrong && wrong != told) warn(*wrong);
      told = std::move(wrong);
    }
    for (const auto family : served) rules.want(family, rules_config(config, node, family, routed));
  };
  // By NodeCIDR the rules depend on the Node; they are not written without it, and not changed by its absence.
  if (config.detect_local_mode != DetectLocalMode::node_cidr) want_rules(nullptr);
  Questions questions([&] { inbox.wake(); });
  HealthCheckServer health_checks(health, metrics, shortage,
                                  [&](const ObjectKey& service, const std::string& uid, const std::string& why) {
                                    warn(why + "; will retry");
                                    record(health_check_failed_event(service, uid, why));
                                  });
  if (const auto started = health_checks.start(); !started) return give_up(started.error());
  Loop loop({reconciler, kernel, inbox, health, metrics, signals.get(), [&] { return rules.ready(); }, want_rules,
             [&] { return source->status(); },
             [&](std::vector<FrontendFlows> frontends) {
               if (flows) flows->want(std::move(frontends));
             },
             [&](std::vector<HealthCheckChange> changes, const ListenAddresses& addresses) {
               health_checks.publish(std::move(changes), addresses);
             },
             [&](const ServiceNotice& notice) { record(notice_event(notice)); },
             [&](const LoopView& view) { return questions.answer_one(view); },
             [&](const std::vector<Cidr>& routes) {
               routed = routes;
               const Node* node = reconciler.cluster().node();
               if (node != nullptr || config.detect_local_mode != DetectLocalMode::node_cidr) want_rules(node);
             },
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
  if (policy.knows_outside == std::array<bool, 2>{} && !policy.by_pod_cidrs)
    spdlog::info(
        "no clusterCIDR or other local detector (detectLocalMode): with externalTrafficPolicy Local all clients, pods "
        "too, share the local endpoints, as with kube-proxy");
  if (config.node_port_addresses.empty() && !config.node_port_addresses_primary)
    spdlog::info("nodePortAddresses is unset: node ports are served on all addresses of the node; consider primary");
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

// What needs privileges beyond CAP_NET_ADMIN, for an init container.
int init_only(const Flags& flags, const Policy& policy, LinuxKernel& kernel) {
  // iptables-legacy needs a module that only its own program loads.
  Iptables iptables(forced_backend(flags.config));
  if (const auto served = served_families(iptables); !served) return give_up(served.error());
  if (const auto probed = kernel.ipvs().probe_scheduler(policy.scheduler.name); !probed) return give_up(probed.error());
  const bool all_set = set_kernel_parameters(flags.config, kernel, policy.node_name, [](const Event&) {});
  if (all_set) spdlog::info("set what needs privileges; ending (--init-only)");
  return all_set ? 0 : 1;
}

int write_config(const Flags& flags) {
  errno = 0;
  std::ofstream file(flags.write_config_to);
  file << config_yaml(flags.config);
  file.close();
  if (file) return 0;
  const int error = errno > 0 ? errno : EIO;
  return give_up({errc_of(error), error, fmt::format("write the configuration to {}", flags.write_config_to)});
}

// As serve(), until the configuration file has become another one.
int serve_watching(const Flags& flags, const ApiAccess& access, const Policy& policy, LinuxKernel& kernel,
                   const Fd& signals) {
  Iptables iptables(forced_backend(flags.config));
  const auto served = wait_for_families(iptables, signals);
  if (!served) return served.error().code == Errc::interrupted ? 0 : give_up(served.error());
  std::ofstream("/proc/self/oom_score_adj") << flags.config.oom_score_adj;
  keep_capabilities(needed_capabilities(flags.config, iptables, *served));
  std::optional<ConfigWatch> watch;
  if (!flags.config_file.empty() && !flags.once)
    watch.emplace(
        flags.config_file, flags.config_text, [] { ::kill(::getpid(), SIGTERM); }, warn);
  const int status = serve(flags, access, policy, kernel, std::move(iptables), *served, signals);
  if (!watch || !watch->has_changed()) return status;
  spdlog::error("{} was changed: ended, to be started again with what it is now", flags.config_file);
  return 1;
}

int clean_up(const Flags& flags, LinuxKernel& kernel) {
  SoleWriter sole([&] { return another_proxy(flags.config); });
  if (const auto other = sole.claim()) {
    spdlog::error("{}: end it before --cleanup", *other);
    return 1;
  }
  Iptables iptables(forced_backend(flags.config));
  if (const auto cleaned = ipvsd::clean_up(kernel, iptables, flags.config.ipvs.exclude_cidrs); !cleaned)
    return give_up(cleaned.error());
  spdlog::info("removed everything that kube-ipvsd or kube-proxy in ipvs mode had made");
  return 0;
}

// kube-proxy may live already: nothing that it writes is touched.
int hand_over(const Flags& flags, LinuxKernel& kernel) {
  SoleWriter sole([] { return std::nullopt; });
  if (const auto other = sole.claim()) {
    spdlog::error("{}: end it before --hand-over", *other);
    return 1;
  }
  Iptables iptables(forced_backend(flags.config));
  const auto done = ipvsd::hand_over(kernel, iptables, [&](IpSet set) { return kernel.sets().destroy(set); });
  if (!done) return give_up(done.error());
  spdlog::info("ready for kube-proxy: removed the rules in table mangle, {} virtual servers by mark and their sets",
               done->removed);
  if (done->left > 0)
    spdlog::warn(
        "{} virtual servers by mark stay for the {} connections that they have, and get no new ones; run "
        "--hand-over again when these have ended",
        done->left, done->connections);
  return 0;
}

int run(int argc, char** argv) {
  keep_memory_private();
  const Fd signals = claim_signals();
  const auto flags = parse_flags(argc, argv);
  if (!flags) {
    std::fputs(flags.error().text.c_str(), flags.error().status == 0 ? stdout : stderr);
    return flags.error().status;
  }
  if (flags->version) {
    fmt::print("kube-ipvsd {}\n", version_with_revision);
    return 0;
  }
  if (flags->check) return check::preflight(*flags, node_name(flags->config, hostname()), read_access(*flags));
  spdlog::set_default_logger(spdlog::stderr_logger_mt("kube-ipvsd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::set_level(static_cast<spdlog::level::level_enum>(flags->log_level));
  for (const auto& text : flags->warnings) warn(text);

  if (!flags->write_config_to.empty()) return write_config(*flags);
  const auto policy = make_policy(flags->config, hostname());
  if (!policy) return give_up(policy.error());
  // Before anything of the node is changed: a kubeconfig that cannot be used is a mistake to tell at once.
  ApiAccess access;
  if (flags->manifests.empty() && !flags->cleanup && !flags->hand_over && !flags->init_only) {
    auto read = read_access(*flags);
    if (!read) return give_up(read.error());
    access = std::move(*read);
    for (const auto& text : exposed_secrets(access, flags->config.kubeconfig)) warn(text);
  }
  if (::geteuid() != 0)
    return give_up({Errc::denied, EPERM, "kube-ipvsd needs root, or CAP_NET_ADMIN and CAP_NET_RAW with uid 0"});
  auto kernel = LinuxKernel::open();
  if (!kernel) return give_up(kernel.error());
  if (flags->cleanup) return clean_up(*flags, *kernel);
  if (flags->hand_over) return hand_over(*flags, *kernel);
  if (flags->init_only) return init_only(*flags, *policy, *kernel);
  return flags->dry_run ? dry_run(*flags, access, *policy, *kernel, signals)
                        : serve_watching(*flags, access, *policy, *kernel, signals);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    tell_when_memory_runs_out();
    return run(argc, argv);
  } catch (const std::system_error& error) {  // a thread that cannot be had
    std::fprintf(stderr, "kube-ipvsd: %s; is there room for threads (pids.max, TasksMax, ulimit -u)?\n", error.what());
    return 1;
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "kube-ipvsd: %s; ended, the kernel's state stays as it is\n", error.what());
    return 1;
  }
}
