#include "ctl/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ipvsd::ctl {
namespace {

bool contains(const std::vector<IpAddress>& addresses, const IpAddress& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

}  // namespace

std::string listed(const std::vector<std::string>& words, std::size_t limit) {
  const auto shown = std::min(words.size(), limit);
  auto text = fmt::format("{}", fmt::join(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < words.size()) text += fmt::format(" and {} more", words.size() - shown);
  return text;
}

Explanation Diagnosis::run() {
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

void Diagnosis::fault(std::string cause, std::string text, std::string advice) {
  out_.faults.push_back({std::move(cause), std::move(text), std::move(advice)});
}

void Diagnosis::step(std::string name, std::string text) { out_.steps.push_back({std::move(name), std::move(text)}); }

std::string Diagnosis::name() const { return target_.to_string(); }

bool Diagnosis::on_node(const IpAddress& address) const {
  return address.is_loopback() || facts_.route_to(address) != nullptr ||
         std::any_of(facts_.addresses.begin(), facts_.addresses.end(),
                     [&](const LinkAddress& one) { return one.address == address; });
}

void Diagnosis::link_and_address() {
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
  } else if (const auto* route = facts_.route_to(target_.address)) {
    step("address",
         fmt::format("{} is local, by route {} on {}", address, route->destination.to_string(), ipvs_link_name));
    return;
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

std::string Diagnosis::daemon_says(std::string_view object) const {
  for (const auto& [failing, error] : observed_.failing)
    if (failing == object) return fmt::format("; the daemon cannot write it: {}", error);
  return {};
}

std::optional<DestinationKey> Diagnosis::some_backend() const {
  if (const auto* wanted = wanted_frontend(target_); wanted != nullptr && !wanted->destinations.empty())
    return wanted->destinations.front().key;
  if (const auto* found = facts_.server(target_); found != nullptr && !found->destinations.empty())
    return found->destinations.front().destination.key;
  return {};
}

const Frontend* Diagnosis::wanted_frontend(const VirtualServerKey& key) const {
  for (const auto& frontend : contribution_.frontends)
    if (frontend.server.key == key) return &frontend;
  return nullptr;
}

const ObservedVirtualServer* Diagnosis::chosen(const Walk& walk) const {
  if (walk.mark != 0) {
    const VirtualServerKey by_mark{IpAddress::any(target_.family()), Protocol::none, Port{}, walk.mark};
    if (const auto* found = facts_.server(by_mark)) return found;
  }
  if (const auto* found = facts_.server(target_)) return found;
  auto any_port = target_;
  any_port.port = Port{};
  return facts_.server(any_port);
}

void Diagnosis::server(const Walk& walk) {
  const VirtualServerKey by_mark{IpAddress::any(target_.family()), Protocol::none, Port{}, walk.mark};
  if (wanted_frontend(by_mark) != nullptr && facts_.server(by_mark) == nullptr)
    fault("virtual-server-missing",
          fmt::format("IPVS has no virtual server by {}, which clients outside are marked for", by_mark.to_string()) +
              daemon_says("virtual server " + by_mark.to_string()),
          "the daemon makes it at its next audit; if not, see kube-ipvsctl status and its log");
  const auto* found = chosen(walk);
  if (found == nullptr) {
    step("server", "there is no virtual server");
    missing_server();
  } else {
    const auto& server = found->server;
    step(
        "server",
        fmt::format("{} scheduler {}{}, {}", server.key.to_string(), server.scheduler,
                    (server.flags & flag_persistent) != 0 ? fmt::format(", clients stay for {} s", server.timeout) : "",
                    counted(found->destinations.size(), "destination")));
  }
  if (!owner_) {
    if (found != nullptr) add(explain_destinations(*found));
    return;
  }
  const auto* wanted = wanted_frontend(found != nullptr ? found->server.key : target_);
  if (wanted == nullptr) return;
  add(explain_endpoints(*cluster_, view_, *owner_, *wanted, found, from_inside()));
  if (found == nullptr || found->server == wanted->server) return;
  fault("virtual-server-differs",
        fmt::format("the virtual server is not as wanted: scheduler {}, flags {:#x}, timeout {}; wanted {}, {:#x}, {}",
                    found->server.scheduler, found->server.flags, found->server.timeout, wanted->server.scheduler,
                    wanted->server.flags, wanted->server.timeout),
        "the daemon puts it right at its next audit");
}

void Diagnosis::missing_server() {
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

void Diagnosis::add(EndpointFindings findings) {
  for (auto& row : findings.rows)
    if (const auto probed = observed_.probes.find(row.key); probed != observed_.probes.end())
      row.probe = probed->second;
  out_.endpoints = std::move(findings.rows);
  out_.faults.insert(out_.faults.end(), findings.faults.begin(), findings.faults.end());
}

void Diagnosis::setting(const char* path, std::string_view effect) {
  const auto found = facts_.sysctls.find(path);
  if (found == facts_.sysctls.end() || found->second != 0) return;
  auto dotted = std::string(path);
  std::replace(dotted.begin(), dotted.end(), '/', '.');
  fault("sysctl", fmt::format("sysctl {} is 0: {}", dotted, effect), fmt::format("sysctl -w {}=1", dotted));
}

void Diagnosis::settings() {
  setting("net/ipv4/vs/conntrack", "connections through IPVS are not masqueraded, and their replies go astray");
  if (target_.family() == Family::ipv4)
    setting("net/ipv4/ip_forward", "this node forwards nothing, so packets do not get to the pods");
  else
    setting("net/ipv6/conf/all/forwarding", "this node forwards nothing, so packets do not get to the pods");
}

namespace {
bool shows_fault(ProbeResult result) {
  return result == ProbeResult::refuses || result == ProbeResult::unreachable || result == ProbeResult::silent;
}
}  // namespace

void Diagnosis::probes() {
  std::vector<std::string> failed;
  for (const auto& row : out_.endpoints)
    if (row.in && row.probe && shows_fault(*row.probe))
      failed.push_back(fmt::format("{} {}", row.key.to_string(), ctl::to_string(*row.probe)));
  const auto count = [&](ProbeResult result) {
    return std::count_if(out_.endpoints.begin(), out_.endpoints.end(),
                         [&](const ExplainedEndpoint& row) { return row.probe == result; });
  };
  if (const auto silent = count(ProbeResult::unknown); silent > 0)
    out_.notes.push_back(
        fmt::format("{} not reply to an empty datagram and no ICMP error came back: with UDP that is no sign of a "
                    "fault, nor of health; ask in the backend's own protocol",
                    silent == 1 ? "one backend did" : counted(static_cast<std::uint64_t>(silent), "backend") + " did"));
  if (count(ProbeResult::untried) > 0)
    out_.notes.emplace_back("this kernel has no SCTP loaded, so the backends were not tried: modprobe sctp");
  if (!observed_.probes.empty() &&
      std::any_of(out_.endpoints.begin(), out_.endpoints.end(), [](const auto& row) { return row.in && !row.probe; }))
    out_.notes.push_back(fmt::format("only {} backends were tried", observed_.probes.size()));
  if (failed.empty()) return;
  fault("backend-not-answering", fmt::format("asked from this node, backends fail: {}", listed(failed)),
        "see whether the Pod listens on that port and what its network plugin or a NetworkPolicy does");
}

std::string_view to_string(ProbeResult result) {
  switch (result) {
    case ProbeResult::answers: break;
    case ProbeResult::refuses: return "refuses";
    case ProbeResult::unreachable: return "is not reachable";
    case ProbeResult::silent: return "does not answer";
    case ProbeResult::unknown: return "cannot tell: no reply, which UDP does not owe";
    case ProbeResult::untried: return "not tried";
  }
  return "answers";
}

Explanation explain(const VirtualServerKey& target, const std::optional<IpAddress>& from, const Observed& observed,
                    const Cluster* cluster) {
  return Diagnosis(target, from, observed, cluster).run();
}

}  // namespace ipvsd::ctl
