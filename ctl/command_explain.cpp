#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/command_cluster.hpp"
#include "ctl/explain.hpp"
#include "ctl/probe.hpp"
#include "ctl/selector.hpp"
#include "ctl/status.hpp"

namespace ipvsd::ctl {
namespace {

constexpr int fault_status = 1;
constexpr int failed_status = 2;
constexpr std::chrono::milliseconds probe_deadline{2000};

struct ExplainWords {
  ClusterWords cluster;
  std::string subject;
  std::string from;
  std::string format = "table";
  bool probe = false;
};

// What the words ask for: a Service, or an address and port.
struct Subject {
  std::optional<ObjectKey> service;
  Selector socket;
};

Result<Subject> parse_subject(const std::string& text) {
  Subject subject;
  const auto selector = parse_selector(text);
  if (selector && selector->address && selector->port.number != 0) {
    subject.socket = *selector;
    return subject;
  }
  const auto slash = text.find('/');
  const bool is_name = !selector && slash != std::string::npos && slash > 0 && slash + 1 < text.size() &&
                       text.find('/', slash + 1) == std::string::npos && text.find(':') == std::string::npos;
  if (!is_name)
    return fail(Errc::malformed,
                fmt::format("\"{}\" cannot be explained; accepted are ADDRESS:PORT, ADDRESS:PORT/PROTOCOL, "
                            "[ADDRESS]:PORT and NAMESPACE/SERVICE",
                            text));
  subject.service = ObjectKey{text.substr(0, slash), text.substr(slash + 1)};
  return subject;
}

void ask_status(const std::string& socket, Observed& observed) {
  const auto text = ask_daemon(socket, "/v1/status");
  const auto status = text ? parse_status(*text) : fail(text.error());
  observed.daemon_answers = status.has_value();
  if (status) observed.failing = failing_objects(*status);
}

Result<Observed> observe(const Subject& subject, const ExplainWords& words, const Cluster* cluster) {
  const std::vector<std::string> sysctls{"net/ipv4/vs/conntrack", "net/ipv4/ip_forward",
                                         "net/ipv6/conf/all/forwarding"};
  const auto wanted = [&](const VirtualServerKey& key) {
    return subject.service || key.fwmark != 0 || key.address == subject.socket.address;
  };
  auto node = observe_node(wanted, sysctls);
  if (!node) return fail(node.error());
  Observed observed;
  observed.node = std::move(*node);
  if (cluster != nullptr) observed.has_scheduler = kernel_has_scheduler(cluster->policy.scheduler.name);
  ask_status(words.cluster.socket, observed);
  return observed;
}

// What was tried so far: the frontends of a Service port share their backends.
using Probes = std::map<Protocol, std::map<DestinationKey, ProbeResult>>;

Explanation explain_one(const VirtualServerKey& target, const std::optional<IpAddress>& from, Probes* probes,
                        Observed& observed, const Cluster* cluster) {
  observed.probes.clear();
  auto explanation = explain(target, from, observed, cluster);
  if (probes == nullptr) return explanation;
  auto& known = (*probes)[target.protocol];
  std::vector<DestinationKey> backends;
  for (const auto& row : explanation.endpoints)
    if (row.in && !known.contains(row.key)) backends.push_back(row.key);
  known.merge(probe(backends, target.protocol, probe_deadline));
  observed.probes = known;
  return explain(target, from, observed, cluster);
}

Result<std::vector<Explanation>> explain_all(const Subject& subject, const std::optional<IpAddress>& from,
                                             const ExplainWords& words, Observed& observed, const Cluster* cluster) {
  std::vector<Explanation> all;
  Probes tried;
  Probes* probes = words.probe ? &tried : nullptr;
  if (!subject.service) {
    for (const auto protocol : subject.socket.protocol != Protocol::none
                                   ? std::vector{subject.socket.protocol}
                                   : protocols_at(*subject.socket.address, subject.socket.port, observed.node, cluster))
      all.push_back(
          explain_one({*subject.socket.address, protocol, subject.socket.port, 0}, from, probes, observed, cluster));
    return all;
  }
  const auto service =
      targets_of(*cluster, cluster->view(observed.node.addresses, observed.node.routes), *subject.service);
  for (const auto& target : service.targets) {
    if (from && target.family() != from->family()) continue;
    all.push_back(explain_one(target, from, probes, observed, cluster));
    note_conflict(all.back(), *subject.service);
  }
  if (!service.faults.empty()) {
    Explanation whole;
    whole.service = subject.service->to_string();
    whole.from = from ? from->to_string() : "a client outside";
    whole.faults = service.faults;
    all.push_back(std::move(whole));
  }
  return all;
}

int print(const std::vector<Explanation>& all, Format format) {
  std::string text;
  auto list = nlohmann::ordered_json::array();
  bool wrong = false;
  for (const auto& explanation : all) {
    if (format == Format::table) text += (text.empty() ? "" : "\n") + explanation_text(explanation);
    list.push_back(explanation_json(explanation));
    wrong = wrong || !explanation.faults.empty();
  }
  if (format != Format::table) text = structured({{"explanations", std::move(list)}}, format);
  if (finish(write_out(text)) != 0) return failed_status;
  return wrong ? fault_status : 0;
}

int run_explain(const ExplainWords& words) {
  const auto format = parse_answer_format(words.format);
  if (!format) return complain(format.error(), usage_status);
  const auto subject = parse_subject(words.subject);
  if (!subject) return complain(subject.error(), usage_status);
  std::optional<IpAddress> from;
  if (!words.from.empty()) {
    const auto parsed = IpAddress::parse(words.from);
    if (!parsed) return complain(parsed.error().within("--from"), usage_status);
    if (subject->socket.address && parsed->family() != subject->socket.address->family())
      return complain({Errc::malformed, 0, "--from is of another family than the address"}, usage_status);
    from = *parsed;
  }
  auto cluster = read_cluster(words.cluster, warn_user);
  // Without a daemon the kernel can still say much of an address.
  const bool needed = subject->service || !words.cluster.from_daemon() || cluster.has_value();
  if (!cluster && needed)
    return complain(subject->service && words.cluster.from_daemon()
                        ? cluster.error().within("a Service's name needs the daemon, --manifests or --kubeconfig")
                        : cluster.error(),
                    failed_status);
  const Cluster* known = cluster ? &*cluster : nullptr;
  auto observed = observe(*subject, words, known);
  if (!observed) return complain(observed.error(), failed_status);
  const auto all = explain_all(*subject, from, words, *observed, known);
  if (!all) return complain(all.error(), failed_status);
  return print(*all, *format);
}

}  // namespace

Command declare_explain(CLI::App& app) {
  const auto words = std::make_shared<ExplainWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("explain", "Why an address or Service answers, or does not");
  command->add_option("SUBJECT", words->subject, "ADDRESS:PORT, ADDRESS:PORT/PROTOCOL or NAMESPACE/SERVICE")
      ->required();
  command
      ->add_option("--from", words->from,
                   "the client; an address of this node for the node itself; default: some "
                   "client outside")
      ->option_text("ADDRESS");
  command->add_flag("--probe", words->probe,
                    "try each backend from this node: a connection of TCP or SCTP, an empty datagram of UDP");
  command->add_option("-o,--output", words->format, "table (default), json or yaml")->option_text("FORMAT");
  add_cluster_options(*command, words->cluster);
  command->footer(
      "Asks the daemon for the Services; without one, --manifests or --kubeconfig name them, and failing that the\n"
      "kernel alone is explained. Changes nothing. Exit status: 0 nothing wrong found, 1 a fault, 2 trouble.\n"
      "Example: kube-ipvsctl explain 10.96.0.10:53/udp --from 10.244.1.7");
  return {command, [words] { return run_explain(*words); }};
}

}  // namespace ipvsd::ctl
