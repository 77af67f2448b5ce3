// kube-ipvsd: which of the things that it can do was asked for.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "daemon/check/preflight.hpp"
#include "daemon/config/config_file.hpp"
#include "daemon/config/config_watch.hpp"
#include "daemon/config/flags.hpp"
#include "daemon/config/key_files.hpp"
#include "daemon/config/kubeconfig.hpp"
#include "daemon/config/options.hpp"
#include "daemon/kernel/linux_kernel.hpp"
#include "daemon/loop/cleanup.hpp"
#include "daemon/loop/hand_over.hpp"
#include "daemon/loop/node_policy.hpp"
#include "daemon/loop/sole_writer.hpp"
#include "daemon/preparations.hpp"
#include "daemon/serve/other_proxy.hpp"
#include "daemon/serving.hpp"
#include "daemon/version.hpp"
#include "os/memory.hpp"
#include "os/privileges.hpp"

using namespace ipvsd;

namespace {

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
