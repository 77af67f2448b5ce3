#include "ctl/explain.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/loop/rules_keeper.hpp"
#include "reconcile/ownership.hpp"

namespace ipvsd::ctl {
namespace {

using Verdict = Walk::Verdict;

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::passed: break;
    case Verdict::dropped: return "dropped";
    case Verdict::rejected: return "rejected";
  }
  return "passes";
}

bool contains(const std::vector<IpAddress>& addresses, const IpAddress& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

// Whether the entry is about this frontend, rather than about an endpoint or another port.
bool is_about(const SetEntry& entry, const VirtualServerKey& target, FrontendKind kind) {
  if (entry.set.kind == SetKind::loop_back || entry.set.family != target.family()) return false;
  if (entry.set.type() == SetType::hash_ip) return entry.address == target.address;
  if (entry.set.type() == SetType::bitmap_port)
    return kind == FrontendKind::node_port && entry.port == target.port &&
           entry.set.kind != SetKind::health_check_node_port;
  return entry.address == target.address && entry.port == target.port && entry.protocol == target.protocol;
}

std::string listed(const std::vector<std::string>& words, std::size_t limit = 6) {
  const auto shown = std::min(words.size(), limit);
  auto text = fmt::format("{}", fmt::join(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < words.size()) text += fmt::format(" and {} more", words.size() - shown);
  return text;
}

class Diagnosis {
 public:
  Diagnosis(const VirtualServerKey& target, const std::optional<IpAddress>& from, const Observed& observed,
            const Cluster* cluster)
      : target_(target), from_(from), observed_(observed), facts_(observed.node), cluster_(cluster) {
    out_.target = target;
    if (cluster_ != nullptr) view_ = cluster_->view(facts_.addresses);
  }

  Explanation run() {
    client();
    if (!facts_.no_ipvs.empty()) fault("no-ipvs", facts_.no_ipvs, "load the module, or install a kernel that has it");
    if (cluster_ != nullptr ? who() : who_by_kernel()) {
      link_and_address();
      const auto walk = rules();
      server(walk);
      settings();
      probes();
    }
    if (cluster_ == nullptr)
      out_.notes.push_back(
          "the Services are not known here, so this is the kernel alone: --manifests or --kubeconfig names them");
    if (!observed_.daemon_answers) out_.notes.push_back("no kube-ipvsd answers: nobody repairs what is wrong");
    return std::move(out_);
  }

 private:
  void fault(std::string cause, std::string text, std::string advice) {
    out_.faults.push_back({std::move(cause), std::move(text), std::move(advice)});
  }
  void step(std::string name, std::string text) { out_.steps.push_back({std::move(name), std::move(text)}); }
  [[nodiscard]] std::string name() const { return target_.to_string(); }

  // --- who asks
  // -------------------------------------------------------------------------------------------------------

  [[nodiscard]] bool on_node(const IpAddress& address) const {
    return address.is_loopback() || std::any_of(facts_.addresses.begin(), facts_.addresses.end(),
                                                [&](const LinkAddress& one) { return one.address == address; });
  }

  void client() {
    packet_.destination = target_.address;
    packet_.port = target_.port;
    packet_.protocol = target_.protocol;
    packet_.source = from_;
    if (!from_) {
      out_.from = "a client outside";
      return;
    }
    packet_.from_node = on_node(*from_);
    for (const auto& [link, address, prefix] : facts_.addresses)
      if (link != ipvs_link_name && address.family() == from_->family() && Cidr::of(address, prefix).contains(*from_))
        packet_.link = link;
    out_.from = packet_.from_node ? "this node" : from_->to_string();
    // An address of kube-ipvs0 becomes the source of what the node sends to it.
    if (packet_.from_node && on_node(target_.address)) packet_.source = target_.address;
  }

  // A pod or a node process: whom externalTrafficPolicy does not concern.
  [[nodiscard]] bool from_inside() const {
    if (!from_) return false;
    if (packet_.from_node || cluster_ == nullptr) return packet_.from_node;
    const auto has = [&](const std::vector<Cidr>& cidrs) {
      return std::any_of(cidrs.begin(), cidrs.end(), [&](const Cidr& cidr) { return cidr.contains(*from_); });
    };
    return has(cluster_->config.cluster_cidrs) ||
           (cluster_->state.node() != nullptr && has(cluster_->state.node()->pod_cidrs));
  }

  // --- whose address and port
  // -----------------------------------------------------------------------------------------

  bool who() {
    const auto found = claimants(*cluster_, view_, target_);
    if (found.empty()) {
      nobody();
      return false;
    }
    owner_ = found.front();
    out_.service = owner_->name();
    step("service", fmt::format("{}, {} of {}", out_.service, to_string(owner_->kind), cluster_->origin));
    for (std::size_t i = 1; i < found.size(); ++i)
      out_.notes.push_back(
          fmt::format("conflict: {} wants {} too; {} is older and has it", found[i].name(), name(), owner_->name()));
    if (!cluster_->policy.serves[static_cast<std::size_t>(target_.family())]) {
      fault("family-not-served", fmt::format("this node does not serve {}", ipvsd::to_string(target_.family())),
            "see the daemon's log: iptables of that family, or its modules, are missing");
      return false;
    }
    Marks marks(cluster_->policy.outside_mask);
    marks.observed(facts_.entries);
    contribution_ = cluster_->desired(*owner_->service, view_, marks, [this](Family family, std::uint32_t mark) {
      return facts_.server({IpAddress::any(family), Protocol::none, Port{}, mark}) != nullptr;
    });
    return true;
  }

  void nobody() {
    std::vector<std::string> ports;
    for (const auto& key : cluster_->state.service_keys()) {
      const auto* service = cluster_->state.service(key);
      if (service == nullptr) continue;
      const bool has = contains(service->cluster_ips, target_.address) ||
                       contains(service->external_ips, target_.address) ||
                       contains(service->load_balancer_ips, target_.address);
      for (const auto& port : service->ports) {
        if (has)
          ports.push_back(fmt::format("{} {}/{}", key.to_string(), port.port.number, ipvsd::to_string(port.protocol)));
        const bool is_node_port = port.node_port.number != 0 && port.node_port == target_.port &&
                                  port.protocol == target_.protocol && on_node(target_.address);
        if (is_node_port && !has) return excluded_node_port(key);
      }
    }
    step("service", fmt::format("no Service port is at {}", name()));
    if (!ports.empty())
      return fault("no-such-port", fmt::format("the address is a Service's, but not with this port: {}", listed(ports)),
                   "ask for a port that the Service has, or add the port to it");
    const auto* found = facts_.server(target_);
    if (found == nullptr)
      return fault("unknown-address", fmt::format("no Service has {}, and no virtual server", name()),
                   "check the address, and that the Service is of this cluster");
    const bool ours = owned(facts_.kernel_state(), facts_.addresses).contains(target_);
    fault(ours ? "stale-virtual-server" : "foreign-virtual-server",
          ours ? fmt::format("the virtual server {} is left over: no Service has it any more", name())
               : fmt::format("the virtual server {} is no Service's, and nothing says that a proxy made it", name()),
          ours ? "the daemon removes it; see kube-ipvsctl status" : "whoever made it by hand or by ipvsadm knows more");
    add(explain_destinations(*found));
  }

  void excluded_node_port(const ObjectKey& service) {
    step("service", fmt::format("{} has NodePort {}", service.to_string(), target_.port.number));
    fault("node-port-excluded",
          fmt::format("{} does not serve NodePorts: {}", target_.address.to_string(),
                      target_.address.is_loopback() ? "a loopback address never does in ipvs mode"
                                                    : "nodePortAddresses excludes it"),
          fmt::format("use one of {}", view_.node_port_addresses.empty() ? "none: nodePortAddresses excludes all"
                                                                         : addresses_text(view_.node_port_addresses)));
  }

  static std::string addresses_text(const std::vector<IpAddress>& addresses) {
    std::vector<std::string> words;
    for (const auto& address : addresses) words.push_back(address.to_string());
    return listed(words);
  }

  bool who_by_kernel() {
    if (facts_.server(target_) != nullptr) return true;
    const auto mentions = [&](const SetEntry& entry) {
      return entry.set.type() == SetType::hash_ip_port && entry.address == target_.address &&
             entry.port == target_.port && entry.protocol == target_.protocol;
    };
    if (std::any_of(facts_.entries.begin(), facts_.entries.end(), mentions)) return true;
    std::vector<std::string> others;
    for (const auto& found : facts_.servers)
      if (found.server.key.fwmark == 0 && found.server.key.address == target_.address)
        others.push_back(found.server.key.to_string());
    if (!others.empty())
      fault("no-such-port", fmt::format("the kernel has no virtual server at {}, but {}", name(), listed(others)),
            "ask for one of these, or name the Services by --manifests or --kubeconfig");
    else
      fault("unknown-address", fmt::format("neither a virtual server nor a set of this node has {}", name()),
            "check the address; name the Services by --manifests or --kubeconfig to see whether one wants it");
    return false;
  }

  // --- the address
  // ----------------------------------------------------------------------------------------------------

  void link_and_address() {
    bool on_our_link = false;
    std::vector<std::string> elsewhere;
    for (const auto& one : facts_.addresses) {
      if (one.address != target_.address) continue;
      on_our_link = on_our_link || one.link == ipvs_link_name;
      if (one.link != ipvs_link_name) elsewhere.push_back(one.link);
    }
    const bool to_be_bound = owner_ ? contains(contribution_.addresses, target_.address) : elsewhere.empty();
    const auto address = target_.address.to_string();
    if (on_our_link || !elsewhere.empty()) {
      auto links = elsewhere;
      if (on_our_link) links.insert(links.begin(), std::string(ipvs_link_name));
      step("address", fmt::format("{} is local, on {}", address, listed(links)));
    } else {
      step("address", fmt::format("{} is on no link of this node", address));
    }
    if (on_our_link || !to_be_bound) return;
    if (!facts_.link)
      fault("link-missing", fmt::format("there is no link {}, and so no address of a Service", ipvs_link_name),
            "the daemon makes it; see that it runs and what kube-ipvsctl status says");
    else if (!elsewhere.empty())
      fault("address-on-other-link",
            fmt::format("{} is on {} and not on {}: whoever put it there took it over", address, listed(elsewhere),
                        ipvs_link_name),
            fmt::format("remove it there: ip addr del {} dev {}", address, elsewhere.front()));
    else
      fault("address-missing",
            fmt::format("{} is not bound to {}, so packets to it do not reach IPVS", address, ipvs_link_name) +
                daemon_says("address " + address),
            "the daemon binds it at once if it runs; see kube-ipvsctl status");
  }

  // What the daemon could not do with this object; "" if nothing.
  [[nodiscard]] std::string daemon_says(std::string_view object) const {
    for (const auto& [failing, error] : observed_.failing)
      if (failing == object) return fmt::format("; the daemon cannot write it: {}", error);
    return {};
  }

  // --- the rules
  // ------------------------------------------------------------------------------------------------------

  // Where IPVS would send the packet, as far as the rules behind it care.
  [[nodiscard]] std::optional<DestinationKey> some_backend() const {
    if (const auto* wanted = wanted_frontend(target_); wanted != nullptr && !wanted->destinations.empty())
      return wanted->destinations.front().key;
    if (const auto* found = facts_.server(target_); found != nullptr && !found->destinations.empty())
      return found->destinations.front().destination.key;
    return {};
  }

  [[nodiscard]] const Frontend* wanted_frontend(const VirtualServerKey& key) const {
    for (const auto& frontend : contribution_.frontends)
      if (frontend.server.key == key) return &frontend;
    return nullptr;
  }

  Walk rules() {
    const auto& found = facts_.rules[static_cast<std::size_t>(target_.family())];
    const auto backend = some_backend();
    const Walk walk = walk_rules(packet_, {found.tables, facts_.entries, facts_.addresses}, backend);
    for (const auto& matched : walk.matched)
      step("rules", fmt::format("{} {}: {}{}{}", matched.table, matched.chain, matched.rule,
                                matched.entry.empty() ? "" : "  [" + matched.entry + "]",
                                matched.assumed ? "  [if the client's address is in it]" : ""));
    if (!found.error.empty()) {
      fault("rules-unreadable", found.error, "install iptables, or run this as root");
      return walk;
    }
    step("rules", walk.verdict == Verdict::passed
                      ? std::string("the packet passes to IPVS")
                      : fmt::format("the packet is {} in {}", to_string(walk.verdict), walk.matched.back().chain));
    compare_rules(walk, backend);
    step("masquerade",
         walk.masqueraded ? "yes: the backend sees this node's address" : "no: the backend sees the client's address");
    return walk;
  }

  void compare_rules(const Walk& walk, const std::optional<DestinationKey>& backend) {
    std::vector<SetEntry> wanted_entries = owner_ ? contribution_.entries : facts_.entries;
    std::vector<std::string> missing;
    if (owner_)
      for (const auto& entry : wanted_entries)
        if (is_about(entry, target_, owner_->kind) && !facts_.has_entry(entry))
          missing.push_back(fmt::format("{} {}", entry.set.name(), entry.element()));
    const auto repair = "the daemon puts it right at its next audit; if not, see kube-ipvsctl status";
    if (!missing.empty()) {
      fault("set-entry-missing", fmt::format("the sets that the rules match on lack {}", listed(missing)), repair);
      return;
    }
    const auto config =
        cluster_ != nullptr ? rules_config(cluster_->config, cluster_->state.node(), target_.family()) : RulesConfig();
    const auto tables = saved_form(ipvsd::rules(target_.family(), config));
    const Walk wanted = walk_rules(packet_, {tables, wanted_entries, facts_.addresses}, backend);
    if (wanted.verdict != Verdict::passed && walk.verdict != Verdict::passed) return stopped(walk);
    const bool masquerade_lost = wanted.masqueraded && !walk.masqueraded && walk.verdict == Verdict::passed;
    if (wanted.verdict == walk.verdict && !masquerade_lost) return;
    const auto lacking = lacking_rules(wanted);
    const auto effect = walk.verdict != Verdict::passed     ? "the packet does not reach IPVS"
                        : wanted.verdict != Verdict::passed ? "clients that should be kept out are let in"
                                                            : "the packet is not masqueraded, and replies go astray";
    fault("rules-missing",
          lacking.empty() ? fmt::format("{}, although the rules are there: others of the sets or rules stop it", effect)
                          : fmt::format("{}: iptables lacks {}", effect, listed(lacking, 2)),
          "the daemon writes them anew at its next look (ipvsd.rulesAuditPeriod); see kube-ipvsctl diff");
  }

  // As it should be: by the Service's own restriction, or because nothing wants the port let through.
  void stopped(const Walk& walk) {
    const auto& last = walk.matched.back();
    if (last.chain == "KUBE-IPVS-FILTER")
      return fault("set-entry-missing",
                   fmt::format("KUBE-IPVS-FILTER rejects it: {} is an address of Services, and none of the sets has "
                               "{} port {}",
                               target_.address.to_string(), ipvsd::to_string(target_.protocol), target_.port.number),
                   "name the Services by --manifests or --kubeconfig to see which one should have it");
    std::vector<std::string> ranges;
    for (const auto& entry : facts_.entries)
      if (entry.set.kind == SetKind::load_balancer_source_cidr && entry.address == target_.address &&
          entry.port == target_.port && entry.protocol == target_.protocol)
        ranges.push_back(Cidr::of(entry.second, entry.prefix).to_string());
    fault("source-range",
          fmt::format("{} is not among the clients that loadBalancerSourceRanges lets in: {}",
                      packet_.from_node ? "the node itself" : out_.from, ranges.empty() ? "none" : listed(ranges)),
          "add the client's network to loadBalancerSourceRanges, or ask from one that is in it");
  }

  // Rules and jumps that the packet should have met and that are not there.
  [[nodiscard]] std::vector<std::string> lacking_rules(const Walk& wanted) const {
    const auto& found = facts_.rules[static_cast<std::size_t>(target_.family())].tables;
    const auto has = [&](std::string_view table, std::string_view chain, std::string_view rule) {
      for (const auto& one : found)
        if (one.name == table)
          for (const auto& saved : one.rules)
            if (saved.chain == chain && saved.rule == rule) return true;
      return false;
    };
    std::vector<std::string> lacking;
    for (const auto& jump : ipvsd::rules(target_.family(), {}).jumps)
      if (!has(ipvsd::to_string(jump.table), jump.from, jump.rule()))
        lacking.push_back(fmt::format("{} {} -j {}", ipvsd::to_string(jump.table), jump.from, jump.to));
    for (const auto& matched : wanted.matched)
      if (!has(matched.table, matched.chain, matched.rule))
        lacking.push_back(fmt::format("{} {} {}", matched.table, matched.chain, matched.rule));
    return lacking;
  }

  // --- the virtual server
  // ---------------------------------------------------------------------------------------------

  // As IPVS looks it up (ip_vs_service_find): by mark, by address and port, then for any port.
  [[nodiscard]] const ObservedVirtualServer* chosen(const Walk& walk) const {
    if (walk.mark != 0) {
      const VirtualServerKey by_mark{IpAddress::any(target_.family()), Protocol::none, Port{}, walk.mark};
      if (const auto* found = facts_.server(by_mark)) return found;
    }
    if (const auto* found = facts_.server(target_)) return found;
    auto any_port = target_;
    any_port.port = Port{};
    return facts_.server(any_port);
  }

  void server(const Walk& walk) {
    const auto* found = chosen(walk);
    if (found == nullptr) {
      step("server", "there is no virtual server");
      missing_server();
    } else {
      const auto& server = found->server;
      step("server",
           fmt::format(
               "{} scheduler {}{}, {} destinations", server.key.to_string(), server.scheduler,
               (server.flags & flag_persistent) != 0 ? fmt::format(", clients stay for {} s", server.timeout) : "",
               found->destinations.size()));
    }
    if (!owner_) {
      if (found != nullptr) add(explain_destinations(*found));
      return;
    }
    const auto* wanted = wanted_frontend(found != nullptr ? found->server.key : target_);
    if (wanted == nullptr) return;
    add(explain_endpoints(*cluster_, view_, *owner_, *wanted, found, from_inside()));
    if (found == nullptr || found->server == wanted->server) return;
    fault(
        "virtual-server-differs",
        fmt::format("the virtual server is not as wanted: scheduler {}, flags {:#x}, timeout {}; wanted {}, {:#x}, {}",
                    found->server.scheduler, found->server.flags, found->server.timeout, wanted->server.scheduler,
                    wanted->server.flags, wanted->server.timeout),
        "the daemon puts it right at its next audit");
  }

  void missing_server() {
    if (!observed_.has_scheduler)
      return fault("scheduler-missing",
                   fmt::format("this kernel has no scheduler {}: without module ip_vs_{} no virtual server can be made",
                               cluster_->policy.scheduler.name, cluster_->policy.scheduler.name),
                   fmt::format("install the module and run modprobe ip_vs_{}, or set ipvs.scheduler to another",
                               cluster_->policy.scheduler.name));
    if (!facts_.no_ipvs.empty()) return;
    fault("virtual-server-missing",
          fmt::format("IPVS has no virtual server {}", name()) + daemon_says("virtual server " + name()),
          "the daemon makes it at its next audit; if not, see kube-ipvsctl status and its log");
  }

  void add(EndpointFindings findings) {
    for (auto& row : findings.rows)
      if (const auto probed = observed_.probes.find(row.key); probed != observed_.probes.end())
        row.probe = probed->second;
    out_.endpoints = std::move(findings.rows);
    out_.faults.insert(out_.faults.end(), findings.faults.begin(), findings.faults.end());
  }

  // --- the rest
  // -------------------------------------------------------------------------------------------------------

  void setting(const char* path, std::string_view effect) {
    const auto found = facts_.sysctls.find(path);
    if (found == facts_.sysctls.end() || found->second != 0) return;
    auto dotted = std::string(path);
    std::replace(dotted.begin(), dotted.end(), '/', '.');
    fault("sysctl", fmt::format("sysctl {} is 0: {}", dotted, effect), fmt::format("sysctl -w {}=1", dotted));
  }

  void settings() {
    setting("net/ipv4/vs/conntrack", "connections through IPVS are not masqueraded, and their replies go astray");
    if (target_.family() == Family::ipv4)
      setting("net/ipv4/ip_forward", "this node forwards nothing, so packets do not get to the pods");
    else
      setting("net/ipv6/conf/all/forwarding", "this node forwards nothing, so packets do not get to the pods");
  }

  void probes() {
    std::vector<std::string> failed;
    for (const auto& row : out_.endpoints)
      if (row.in && row.probe && *row.probe != ProbeResult::answers)
        failed.push_back(fmt::format("{} {}", row.key.to_string(), ctl::to_string(*row.probe)));
    if (failed.empty()) return;
    fault("backend-not-answering", fmt::format("asked from this node, backends fail: {}", listed(failed)),
          "see whether the Pod listens on that port and what its network plugin or a NetworkPolicy does");
  }

  const VirtualServerKey target_;
  const std::optional<IpAddress> from_;
  const Observed& observed_;
  const NodeFacts& facts_;
  const Cluster* cluster_;
  NodeView view_;
  Packet packet_;
  std::optional<Claimant> owner_;
  Contribution contribution_;
  Explanation out_;
};

}  // namespace

std::string_view to_string(ProbeResult result) {
  switch (result) {
    case ProbeResult::answers: break;
    case ProbeResult::refuses: return "refuses";
    case ProbeResult::silent: return "does not answer";
  }
  return "answers";
}

Explanation explain(const VirtualServerKey& target, const std::optional<IpAddress>& from, const Observed& observed,
                    const Cluster* cluster) {
  return Diagnosis(target, from, observed, cluster).run();
}

}  // namespace ipvsd::ctl
