#include <fmt/format.h>

#include <algorithm>

#include "daemon/check/judge.hpp"

namespace ipvsd::check {
namespace {

std::string dotted(std::string path) {
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void judge_rights(const NodeFacts& node, Findings& findings) {
  const std::string remedy = "run it as root (in a container: uid 0, capabilities NET_ADMIN and NET_RAW, hostNetwork)";
  if (!node.root) findings.push_back({Severity::problem, "rights", "not uid 0", remedy});
  if (!node.net_admin)
    findings.push_back({Severity::problem, "rights", "no CAP_NET_ADMIN: IPVS, addresses and sets need it", remedy});
  const bool legacy = std::any_of(node.backends.begin(), node.backends.end(), [](const Backend& backend) {
    return backend.backend == IptablesBackend::legacy && backend.evidence == RuleEvidence::kubernetes;
  });
  if (!node.net_raw)
    findings.push_back({legacy ? Severity::problem : Severity::warning, "rights",
                        "no CAP_NET_RAW: iptables-legacy needs it", "add the capability NET_RAW"});
  if (node.root && node.net_admin && node.net_raw)
    findings.push_back({Severity::ok, "rights", "uid 0 with CAP_NET_ADMIN and CAP_NET_RAW", ""});
}

void judge_kernel(const NodeFacts& node, Findings& findings) {
  const auto version = parse_kernel_version(node.kernel_release);
  if (version < KernelVersion{4, 19})
    findings.push_back(
        {Severity::problem, "kernel",
         fmt::format("{}: older than 4.19, with which nf_conntrack became one module", node.kernel_release),
         "upgrade the kernel, best to 5.9 or later"});
  else if (version < KernelVersion{5, 9})
    findings.push_back({Severity::warning, "kernel",
                        fmt::format("{}: before 5.9 a client port that is used again may reach a draining endpoint "
                                    "(conn_reuse_mode must be 0)",
                                    node.kernel_release),
                        "upgrade the kernel to 5.9 or later"});
  else
    findings.push_back({Severity::ok, "kernel", node.kernel_release, ""});
  if (!node.ipvs_error.empty())
    findings.push_back({Severity::problem, "ipvs", node.ipvs_error, "modprobe ip_vs on the host"});
}

void judge_modules(const NodeFacts& node, const Config& config, Findings& findings) {
  const auto scheduler = "ip_vs_" + (config.ipvs.scheduler.empty() ? std::string("rr") : config.ipvs.scheduler);
  std::vector<std::string> later;
  std::vector<std::string> unknown;
  std::size_t there = 0;
  for (const auto& [name, state] : node.modules) {
    switch (state) {
      case ModuleState::loaded:
      case ModuleState::built_in: ++there; break;
      case ModuleState::loadable: later.push_back(name); break;
      case ModuleState::unknown: unknown.push_back(name); break;
      case ModuleState::missing:
        if (name == scheduler)
          findings.push_back(
              {Severity::problem, "scheduler", fmt::format("this kernel has no {} (module {})", name.substr(6), name),
               node.schedulers.empty() ? "install the kernel's modules"
                                       : fmt::format("set ipvs.scheduler to one of {}", joined(node.schedulers))});
        else
          findings.push_back({name == "ip6t_REJECT" ? Severity::warning : Severity::problem, "module",
                              fmt::format("this kernel has no {}", name),
                              fmt::format("install the complete modules of kernel {} (Ubuntu: linux-modules-extra-{})",
                                          node.kernel_release, node.kernel_release)});
    }
  }
  findings.push_back({Severity::ok, "modules", fmt::format("{} of {} are there", there, node.modules.size()), ""});
  if (!later.empty())
    findings.push_back({Severity::note, "modules", "loaded when they are first used: " + joined(later), ""});
  if (!unknown.empty())
    findings.push_back(
        {Severity::warning, "modules", "not loaded, and no list of this kernel's modules: " + joined(unknown),
         fmt::format("mount the host's /lib/modules, or on the host: modprobe -a {}", fmt::join(unknown, " "))});
}

// Without these two no connection through a VIP comes about, whatever else is right.
bool indispensable(const Sysctl& sysctl) {
  return sysctl.path == "net/ipv4/vs/conntrack" || sysctl.path == "net/ipv4/ip_forward";
}

void judge_sysctls(const NodeFacts& node, Findings& findings) {
  std::size_t right = 0;
  for (const auto& [wanted, value, writable] : node.sysctls) {
    if (value && (*value == wanted.value || (wanted.at_least && *value > wanted.value))) {
      ++right;
      continue;
    }
    const auto name = dotted(wanted.path);
    const auto must = fmt::format("{}{}", wanted.at_least ? "at least " : "", wanted.value);
    const auto command = fmt::format("on the host: sysctl -w {}={}", name, wanted.value);
    const auto bad = indispensable(wanted) ? Severity::problem : Severity::warning;
    if (!value)
      findings.push_back({node.ipvs_error.empty() ? bad : Severity::warning, "sysctl",
                          fmt::format("{} is not there; must be {}", name, must),
                          "modprobe ip_vs nf_conntrack on the host"});
    else if (writable)
      findings.push_back(
          {Severity::note, "sysctl", fmt::format("{} is {}, will be set to {}", name, *value, wanted.value), ""});
    else
      findings.push_back({bad, "sysctl",
                          fmt::format("{} is {} and cannot be set from here; must be {}", name, *value, must),
                          command});
  }
  findings.push_back({Severity::ok, "sysctls", fmt::format("{} of {} are right", right, node.sysctls.size()), ""});
  if (node.bridge_calls_iptables == 0U)
    findings.push_back(
        {Severity::warning, "sysctl",
         "net.bridge.bridge-nf-call-iptables is 0: answers between pods on one bridge bypass IPVS, and their "
         "connections fail",
         "on the host: sysctl -w net.bridge.bridge-nf-call-iptables=1 (unless pods are not on a bridge)"});
  // 0 is no limit. From nine tenths on it is a matter of minutes.
  if (const auto max = node.connections_max.value_or(0); max > 0 && node.connections.value_or(0) >= max - max / 10)
    findings.push_back({Severity::warning, "conntrack",
                        fmt::format("connection tracking is {}full: {} of {}; new connections are dropped when it is",
                                    *node.connections >= max ? "" : "nearly ", *node.connections, max),
                        "raise conntrack.maxPerCore or conntrack.min, or on the host net.netfilter.nf_conntrack_max"});
  const bool global_ipv6 = std::any_of(node.addresses.begin(), node.addresses.end(), [](const LinkAddress& a) {
    return a.address.family() == Family::ipv6 && !a.address.is_link_local() && a.link != "lo";
  });
  if (global_ipv6 && node.ipv6_forwarding == 0U)
    findings.push_back({Severity::warning, "sysctl",
                        "net.ipv6.conf.all.forwarding is 0, and this node has IPv6 addresses: IPv6 Services on other "
                        "nodes' pods do not work",
                        "on the host: sysctl -w net.ipv6.conf.all.forwarding=1"});
}

// The backend that kube-ipvsd will take, or nullptr.
const Backend* chosen(const NodeFacts& node, Family family, IptablesChoice choice) {
  const Backend* best = nullptr;
  for (const auto& backend : node.backends) {
    if (backend.family != family || !backend.installed || !backend.error.empty()) continue;
    const bool excluded = (choice == IptablesChoice::nft && backend.backend != IptablesBackend::nft) ||
                          (choice == IptablesChoice::legacy && backend.backend != IptablesBackend::legacy);
    if (!excluded && (best == nullptr || backend.evidence > best->evidence)) best = &backend;
  }
  return best;
}

void judge_iptables(const NodeFacts& node, Family family, const Config& config, Findings& findings) {
  const auto subject = fmt::format("iptables {}", to_string(family));
  const auto* best = chosen(node, family, config.own.iptables_backend);
  if (best == nullptr) {
    std::string why;
    for (const auto& backend : node.backends)
      if (backend.family == family)
        why += fmt::format("{}{}: {}", why.empty() ? "" : "; ", to_string(backend.backend),
                           !backend.installed       ? "not installed"
                           : !backend.error.empty() ? backend.error
                                                    : "excluded by ipvsd.iptablesBackend");
    findings.push_back(
        {family == Family::ipv4 ? Severity::problem : Severity::warning, subject,
         fmt::format("no backend to use ({}){}", why, family == Family::ipv6 ? ": no IPv6 Services on this node" : ""),
         "install the iptables package; ipvsd.iptablesBackend: auto"});
    return;
  }
  const auto what = best->evidence == RuleEvidence::kubernetes ? "which holds KUBE-* chains already"
                    : best->evidence == RuleEvidence::rules    ? "which holds rules already"
                    : best->backend == IptablesBackend::nft
                        ? "or to legacy if this kernel has no NAT for nft: neither holds rules yet"
                        : "which holds no rules yet";
  findings.push_back({Severity::ok, subject, fmt::format("rules go to {}, {}", to_string(best->backend), what), ""});
  for (const auto& backend : node.backends) {
    if (backend.family != family) continue;
    if (&backend != best && backend.evidence == RuleEvidence::kubernetes)
      findings.push_back({Severity::warning, subject,
                          fmt::format("the backend {} holds KUBE-* chains as well", to_string(backend.backend)),
                          "find out which one kubelet and the network plugin use, set ipvsd.iptablesBackend to it, and "
                          "remove the other's chains"});
    if (backend.service_chains)
      findings.push_back(
          {Severity::warning, subject,
           fmt::format("the backend {} holds KUBE-SVC-* chains of kube-proxy's iptables mode, which catch "
                       "connections before IPVS does",
                       to_string(backend.backend)),
           "after kube-proxy has ended on this node: kube-proxy --cleanup"});
  }
  if (best->backend == IptablesBackend::legacy && !node.xtables_lock_writable)
    findings.push_back({Severity::problem, subject, "/run/xtables.lock cannot be written",
                        "mount the host's /run/xtables.lock into the container, writable"});
}

}  // namespace

Findings judge_node(const NodeFacts& node, const Config& config) {
  Findings findings;
  judge_rights(node, findings);
  judge_kernel(node, findings);
  judge_modules(node, config, findings);
  judge_sysctls(node, findings);
  for (const auto family : families) judge_iptables(node, family, config, findings);
  return findings;
}

}  // namespace ipvsd::check
