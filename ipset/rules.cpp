#include "ipset/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/ip_set.hpp"

namespace ipvsd {
namespace {

constexpr std::array tables{Table::mangle, Table::nat, Table::filter};

constexpr std::string_view outside_chain = "KUBE-IPVSD-OUTSIDE";

constexpr std::array<Jump, 11> all_jumps{{
    {Table::mangle, "PREROUTING", outside_chain, "kube-ipvsd: clients outside the cluster"},
    {Table::mangle, "OUTPUT", "KUBE-IPVSD-OUTPUT", "kube-ipvsd: source ranges for the node itself"},
    {Table::nat, "OUTPUT", "KUBE-SERVICES", "kubernetes service portals"},
    {Table::nat, "PREROUTING", "KUBE-SERVICES", "kubernetes service portals"},
    {Table::nat, "POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules"},
    {Table::filter, "FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules"},
    {Table::filter, "INPUT", "KUBE-NODE-PORT", "kubernetes health check rules"},
    {Table::filter, "INPUT", "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules"},
    {Table::filter, "FORWARD", "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules"},
    {Table::filter, "INPUT", "KUBE-IPVS-FILTER", "kubernetes ipvs access filter"},
    {Table::filter, "OUTPUT", "KUBE-IPVS-OUT-FILTER", "kubernetes ipvs access filter"},
}};

std::string commented(std::string_view comment) {
  std::string text = "-m comment --comment \"";
  for (const char c : comment) {
    // As libxtables' xtables_save_string() writes them.
    if (c == '"' || c == '\\' || c == '\'') text += '\\';
    text += c;
  }
  return text + '"';
}

// Processes of the node may have any of its addresses as their source, the VIP included, and so would miss replies.
constexpr std::string_view from_node = " -m addrtype --src-type LOCAL";

// Rules of one family.
struct Writer {
  Family family;

  [[nodiscard]] std::string set(SetKind kind, std::string_view fields) const {
    return fmt::format("-m set --match-set {} {}", IpSet{kind, family}.name(), fields);
  }
  // The same behind the set's comment.
  [[nodiscard]] std::string noted_set(SetKind kind, std::string_view fields) const {
    return fmt::format("{} {}", commented(IpSet{kind, family}.comment()), set(kind, fields));
  }

  [[nodiscard]] Chain services(const RulesConfig& config) const {
    Chain chain{Table::nat, "KUBE-SERVICES", {}};
    auto& rules = chain.rules;
    rules.push_back(fmt::format("-s {} -j RETURN", family == Family::ipv4 ? "127.0.0.0/8" : "::1/128"));
    rules.push_back(noted_set(SetKind::load_balancer, "dst,dst") + " -j KUBE-LOAD-BALANCER");
    rules.push_back(cluster_ip_to_masquerade(config));
    const auto external = noted_set(SetKind::external_ip, "dst,dst");
    rules.push_back(external + " -j KUBE-MARK-MASQ");
    const auto external_local = noted_set(SetKind::external_ip_local, "dst,dst");
    rules.push_back(external_local + std::string(from_node) + " -j KUBE-MARK-MASQ");
    for (const auto& match : {external, external_local}) {
      rules.push_back(match + " -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT");
      rules.push_back(match + " -m addrtype --dst-type LOCAL -j ACCEPT");
    }
    rules.push_back("-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT");
    rules.push_back(set(SetKind::cluster_ip, "dst,dst") + " -j ACCEPT");
    rules.push_back(set(SetKind::load_balancer, "dst,dst") + " -j ACCEPT");
    return chain;
  }

  [[nodiscard]] std::string cluster_ip_to_masquerade(const RulesConfig& config) const {
    const auto jump = " -j KUBE-MARK-MASQ";
    if (config.masquerade_all) return noted_set(SetKind::cluster_ip, "dst,dst") + jump;
    if (config.local_match) return *config.local_match + " " + noted_set(SetKind::cluster_ip, "dst,dst") + jump;
    // Processes of the node that got the VIP itself as their source address; or, by a local route, the node's own.
    if (!config.service_cidrs.empty()) return noted_set(SetKind::cluster_ip, "dst,dst") + std::string(from_node) + jump;
    return noted_set(SetKind::cluster_ip, "src,dst") + jump;
  }

  [[nodiscard]] Chain node_port() const {
    Chain chain{Table::nat, "KUBE-NODE-PORT", {}};
    const auto add = [&](std::string_view protocol, SetKind local, SetKind all, std::string_view fields) {
      chain.rules.push_back(fmt::format("-p {} {}{} -j KUBE-MARK-MASQ", protocol, noted_set(local, fields), from_node));
      chain.rules.push_back(fmt::format("-p {} {} -j RETURN", protocol, noted_set(local, fields)));
      chain.rules.push_back(fmt::format("-p {} {} -j KUBE-MARK-MASQ", protocol, noted_set(all, fields)));
    };
    add("tcp", SetKind::node_port_local_tcp, SetKind::node_port_tcp, "dst");
    add("udp", SetKind::node_port_local_udp, SetKind::node_port_udp, "dst");
    add("sctp", SetKind::node_port_local_sctp, SetKind::node_port_sctp, "dst,dst");
    return chain;
  }

  [[nodiscard]] Chain postrouting(const RulesConfig& config) const {
    const auto mark = config.masquerade_mark;
    return {Table::nat,
            "KUBE-POSTROUTING",
            {noted_set(SetKind::loop_back, "dst,dst,src") + " -j MASQUERADE",
             fmt::format("-m mark ! --mark {0:#x}/{0:#x} -j RETURN", mark),
             // Clears the mark, lest the packet is masqueraded once more.
             fmt::format("-j MARK --set-xmark {:#x}/0x0", mark),
             fmt::format("{} -j MASQUERADE{}", commented("kubernetes service traffic requiring SNAT"),
                         config.random_fully ? " --random-fully" : "")}};
  }

  [[nodiscard]] Chain load_balancer() const {
    return {Table::nat,
            "KUBE-LOAD-BALANCER",
            {noted_set(SetKind::load_balancer_local, "dst,dst") + std::string(from_node) + " -j KUBE-MARK-MASQ",
             noted_set(SetKind::load_balancer_local, "dst,dst") + " -j RETURN", "-j KUBE-MARK-MASQ"}};
  }

  // IPVS looks for a virtual server by mark before one by address. What bears other bits as well finds none by its
  // mark, and goes on to the ordinary one; the second rule counts it.
  [[nodiscard]] Chain outside(const RulesConfig& config) const {
    Chain chain{Table::mangle, std::string(outside_chain), {}};
    if (!config.local_match || config.outside_mask == 0) return chain;
    const auto match = *config.local_match + " " + noted_set(SetKind::outside, "dst,dst");
    chain.rules.push_back(
        fmt::format("{} -j SET --map-set {} dst,dst --map-mark", match, IpSet{SetKind::outside, family}.name()));
    chain.rules.push_back(fmt::format("{} -m mark ! --mark 0x0/{:#x}", match, ~config.outside_mask));
    return chain;
  }

  // The source ranges of load balancer addresses, for the node itself: its connections never pass INPUT, and in filter
  // OUTPUT they bear the endpoint's address already. (kube-proxy has a rule for each such address there.)
  [[nodiscard]] Chain output() const {
    return {Table::mangle,
            "KUBE-IPVSD-OUTPUT",
            {noted_set(SetKind::load_balancer_source_cidr, "dst,dst,src") + " -j RETURN",
             noted_set(SetKind::load_balancer_source_ip, "dst,dst,src") + " -j RETURN",
             noted_set(SetKind::load_balancer_fw, "dst,dst") + " -j DROP"}};
  }

  [[nodiscard]] Chain source_ranges() const {
    return {Table::filter,
            "KUBE-SOURCE-RANGES-FIREWALL",
            {noted_set(SetKind::load_balancer_source_cidr, "dst,dst,src") + " -j RETURN",
             noted_set(SetKind::load_balancer_source_ip, "dst,dst,src") + " -j RETURN", "-j DROP"}};
  }

  // Keeps the node's own ports from being reached through a VIP.
  [[nodiscard]] Chain ipvs_filter(const RulesConfig& config) const {
    Chain chain{Table::filter, "KUBE-IPVS-FILTER", {}};
    for (const auto kind :
         {SetKind::load_balancer, SetKind::cluster_ip, SetKind::external_ip, SetKind::external_ip_local})
      chain.rules.push_back(set(kind, "dst,dst") + " -j RETURN");
    const auto reject = fmt::format(" -j REJECT --reject-with {}",
                                    family == Family::ipv4 ? "icmp-port-unreachable" : "icmp6-port-unreachable");
    for (const auto& cidr : config.service_cidrs)
      if (cidr.family() == family)
        chain.rules.push_back(fmt::format("-d {} -m conntrack --ctstate NEW{}", cidr.to_string(), reject));
    chain.rules.push_back(set(SetKind::health_check_node_port, "dst") + " -j RETURN");
    chain.rules.push_back(fmt::format("-m conntrack --ctstate NEW {}{}", set(SetKind::ipvs_ips, "dst"), reject));
    return chain;
  }

  [[nodiscard]] Chain forward(const RulesConfig& config) const {
    return {
        Table::filter,
        "KUBE-FORWARD",
        {fmt::format("{0} -m mark --mark {1:#x}/{1:#x} -j ACCEPT", commented("kubernetes forwarding rules"),
                     config.masquerade_mark),
         commented("kubernetes forwarding conntrack rule") + " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"}};
  }
};

}  // namespace

std::string not_from(const Cidr& pods) { return "! -s " + pods.to_string(); }

Result<std::string> not_via(std::string_view link) {
  // What dev_valid_name() in the kernel refuses, and what would need quotes in a rule.
  const auto name = link.ends_with('+') ? link.substr(0, link.size() - 1) : link;
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (name.empty() || link.size() > 15 || !printable || name.find_first_of("/:\"'\\!+") != std::string_view::npos)
    return fail(Errc::malformed, fmt::format("\"{}\" is not the name of a link", link.substr(0, 32)));
  return fmt::format("! -i {}", link);
}

std::string_view to_string(Table table) {
  switch (table) {
    case Table::mangle: return "mangle";
    case Table::nat: return "nat";
    case Table::filter: return "filter";
  }
  return "?";
}

std::string Jump::rule() const { return fmt::format("{} -j {}", commented(comment), to); }

Rules rules(Family family, const RulesConfig& config) {
  const Writer write{family};
  Rules all;
  all.jumps.assign(all_jumps.begin(), all_jumps.end());
  all.chains = {
      write.services(config),
      write.postrouting(config),
      write.node_port(),
      write.load_balancer(),
      {Table::nat, "KUBE-MARK-MASQ", {fmt::format("-j MARK --set-xmark {0:#x}/{0:#x}", config.masquerade_mark)}},
      write.forward(config),
      {Table::filter, "KUBE-NODE-PORT", {write.noted_set(SetKind::health_check_node_port, "dst") + " -j ACCEPT"}},
      {Table::filter,
       "KUBE-PROXY-FIREWALL",
       {write.noted_set(SetKind::load_balancer_fw, "dst,dst") + " -j KUBE-SOURCE-RANGES-FIREWALL"}},
      write.source_ranges(),
      write.ipvs_filter(config),
      {Table::filter, "KUBE-IPVS-OUT-FILTER", {}},  // see output()
      write.outside(config),
      write.output(),
  };
  for (const auto& chain : all.chains)
    if (chain.name == outside_chain && !chain.rules.empty())
      all.foreign_marks = CountingRule{chain.table, outside_chain, chain.rules.back()};
  return all;
}

std::string restore_text(const Rules& rules, const std::vector<Jump>& missing_jumps,
                         const std::vector<Jump>& surplus_jumps) {
  std::string text;
  for (const auto table : tables) {
    text += fmt::format("*{}\n", to_string(table));
    for (const auto& chain : rules.chains)
      if (chain.table == table) text += fmt::format(":{} - [0:0]\n", chain.name);
    for (const auto& chain : rules.chains)
      if (chain.table == table)
        for (const auto& rule : chain.rules) text += fmt::format("-A {} {}\n", chain.name, rule);
    for (const auto& jump : missing_jumps)
      if (jump.table == table) text += fmt::format("-I {} 1 {}\n", jump.from, jump.rule());
    for (const auto& jump : surplus_jumps)
      if (jump.table == table) text += fmt::format("-D {} {}\n", jump.from, jump.rule());
    text += "COMMIT\n";
  }
  return text;
}

}  // namespace ipvsd
