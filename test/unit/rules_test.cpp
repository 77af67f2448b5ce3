#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "ipset/audit.hpp"
#include "ipset/iptables.hpp"
#include "ipset/rules.hpp"
#include "model/ip_set.hpp"

using namespace ipvsd;

namespace {

// Written by hand after kube-proxy's, not taken from the program's output.
constexpr std::string_view ipv4_text = R"(*mangle
:KUBE-IPVSD-OUTSIDE - [0:0]
:KUBE-IPVSD-OUTPUT - [0:0]
-A KUBE-IPVSD-OUTPUT -m comment --comment "Kubernetes service load balancer ip + port + source cidr for packet filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN
-A KUBE-IPVSD-OUTPUT -m comment --comment "Kubernetes service load balancer ip + port + source IP for packet filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,src -j RETURN
-A KUBE-IPVSD-OUTPUT -m comment --comment "Kubernetes service load balancer ip + port for load balancer with sourceRange" -m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j DROP
-I PREROUTING 1 -m comment --comment "kube-ipvsd: clients outside the cluster" -j KUBE-IPVSD-OUTSIDE
-I OUTPUT 1 -m comment --comment "kube-ipvsd: source ranges for the node itself" -j KUBE-IPVSD-OUTPUT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -m comment --comment "Kubernetes service lb portal" -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP src,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port with externalTrafficPolicy=local" -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -m addrtype --dst-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port with externalTrafficPolicy=local" -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port with externalTrafficPolicy=local" -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -m addrtype --dst-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port with externalTrafficPolicy=local" -m set --match-set KUBE-NODE-PORT-LOCAL-TCP dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port with externalTrafficPolicy=local" -m set --match-set KUBE-NODE-PORT-LOCAL-TCP dst -j RETURN
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p udp -m comment --comment "Kubernetes nodeport UDP port with externalTrafficPolicy=local" -m set --match-set KUBE-NODE-PORT-LOCAL-UDP dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p udp -m comment --comment "Kubernetes nodeport UDP port with externalTrafficPolicy=local" -m set --match-set KUBE-NODE-PORT-LOCAL-UDP dst -j RETURN
-A KUBE-NODE-PORT -p udp -m comment --comment "Kubernetes nodeport UDP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-UDP dst -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p sctp -m comment --comment "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type \'hash ip:port\'" -m set --match-set KUBE-NODE-PORT-LOCAL-SCTP-HASH dst,dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p sctp -m comment --comment "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type \'hash ip:port\'" -m set --match-set KUBE-NODE-PORT-LOCAL-SCTP-HASH dst,dst -j RETURN
-A KUBE-NODE-PORT -p sctp -m comment --comment "Kubernetes nodeport SCTP port for masquerade purpose with type \'hash ip:port\'" -m set --match-set KUBE-NODE-PORT-SCTP-HASH dst,dst -j KUBE-MARK-MASQ
-A KUBE-LOAD-BALANCER -m comment --comment "Kubernetes service load balancer ip + port with externalTrafficPolicy=local" -m set --match-set KUBE-LOAD-BALANCER-LOCAL dst,dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-LOAD-BALANCER -m comment --comment "Kubernetes service load balancer ip + port with externalTrafficPolicy=local" -m set --match-set KUBE-LOAD-BALANCER-LOCAL dst,dst -j RETURN
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-I OUTPUT 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I PREROUTING 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING 1 -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT
-A KUBE-PROXY-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port for load balancer with sourceRange" -m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL
-A KUBE-SOURCE-RANGES-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port + source cidr for packet filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN
-A KUBE-SOURCE-RANGES-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port + source IP for packet filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,src -j RETURN
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable
-I FORWARD 1 -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-I INPUT 1 -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-I INPUT 1 -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-I FORWARD 1 -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-I INPUT 1 -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-I OUTPUT 1 -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER
COMMIT
)";

const Chain& chain_of(const Rules& all, Table table, std::string_view name) {
  const auto found = std::find_if(all.chains.begin(), all.chains.end(),
                                  [&](const Chain& chain) { return chain.table == table && chain.name == name; });
  REQUIRE(found != all.chains.end());
  return *found;
}

// What iptables-save prints once the rules are in; `counters` as with its option -c.
std::string saved(const Rules& all, bool counters = false) {
  std::string text = "# Generated by iptables-nft-save v1.8.9 (nf_tables) on a day that isn't told\n";
  const std::string before = counters ? "[12:3456] " : "";
  for (const auto table : {Table::filter, Table::mangle, Table::nat}) {
    text += fmt::format("*{}\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [1:60]\n:FOREIGN - [0:0]\n", to_string(table));
    for (const auto& chain : all.chains)
      if (chain.table == table) text += fmt::format(":{} - [0:0]\n", chain.name);
    text += before + "-A INPUT -m comment --comment \"not -j KUBE-SERVICES\\\"\nCOMMIT\n*nat\n\" -j FOREIGN\n";
    for (auto jump = all.jumps.rbegin(); jump != all.jumps.rend(); ++jump)
      if (jump->table == table) text += fmt::format("{}-A {} {}\n", before, jump->from, jump->rule());
    for (const auto& chain : all.chains)
      if (chain.table == table)
        for (const auto& rule : chain.rules) text += fmt::format("{}-A {} {}\n", before, chain.name, rule);
    text += before + "-A FOREIGN -p tcp -j ACCEPT\nCOMMIT\n";
  }
  return text + "# Completed\n";
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the rules of IPv4 without a local detector") {
  const auto all = rules(Family::ipv4, {});
  CHECK(restore_text(all, all.jumps) == ipv4_text);
}

TEST_CASE("the rules of IPv6 differ in names, loopback and reject type alone") {
  const auto all = rules(Family::ipv6, {});
  std::string expected(ipv4_text);
  for (std::size_t at = 0; (at = expected.find("--match-set KUBE-", at)) != std::string::npos;) {
    const auto name_at = at + std::string_view("--match-set ").size();
    const auto name = expected.substr(name_at, expected.find(' ', name_at) - name_at);
    const auto ipv6_name = ("KUBE-6-" + name.substr(5)).substr(0, 31);
    expected.replace(name_at, name.size(), ipv6_name);
    at = name_at;
  }
  replace(expected, "127.0.0.0/8", "::1/128");
  replace(expected, "icmp-port-unreachable", "icmp6-port-unreachable");
  CHECK(restore_text(all, all.jumps) == expected);
}

TEST_CASE("what the configuration changes") {
  const auto services = [](const RulesConfig& config) {
    return chain_of(rules(Family::ipv4, config), Table::nat, "KUBE-SERVICES").rules.at(2);
  };
  const std::string cluster_ip =
      R"(-m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP )";
  CHECK(services({}) == cluster_ip + "src,dst -j KUBE-MARK-MASQ");
  RulesConfig config;
  config.local_match = not_from(*Cidr::parse("10.244.0.0/16"));
  CHECK(services(config) == "! -s 10.244.0.0/16 " + cluster_ip + "dst,dst -j KUBE-MARK-MASQ");
  config.local_match = *not_via("cni+");
  CHECK(services(config) == "! -i cni+ " + cluster_ip + "dst,dst -j KUBE-MARK-MASQ");
  config.masquerade_all = true;
  CHECK(services(config) == cluster_ip + "dst,dst -j KUBE-MARK-MASQ");

  config.masquerade_mark = 1U << 31;
  config.random_fully = false;
  const auto all = rules(Family::ipv4, config);
  CHECK(chain_of(all, Table::nat, "KUBE-MARK-MASQ").rules.at(0) == "-j MARK --set-xmark 0x80000000/0x80000000");
  const auto& postrouting = chain_of(all, Table::nat, "KUBE-POSTROUTING").rules;
  CHECK(postrouting.at(1) == "-m mark ! --mark 0x80000000/0x80000000 -j RETURN");
  CHECK(postrouting.at(2) == "-j MARK --set-xmark 0x80000000/0x0");
  CHECK(postrouting.at(3).ends_with("-j MASQUERADE"));
  CHECK(chain_of(all, Table::filter, "KUBE-FORWARD").rules.at(0).find("0x80000000/0x80000000") != std::string::npos);
}

TEST_CASE("a Service CIDR that is local as a whole is closed behind what the sets let through") {
  RulesConfig config;
  config.service_cidrs = {*Cidr::parse("10.96.0.0/16"), *Cidr::parse("10.200.0.0/24")};
  const auto plain = chain_of(rules(Family::ipv4, {}), Table::filter, "KUBE-IPVS-FILTER").rules;
  auto closed = chain_of(rules(Family::ipv4, config), Table::filter, "KUBE-IPVS-FILTER").rules;
  REQUIRE(closed.size() == plain.size() + 2);
  // Before the health check ports, which are let through on any address.
  CHECK(closed[4] == "-d 10.96.0.0/16 -m conntrack --ctstate NEW -j REJECT --reject-with icmp-port-unreachable");
  CHECK(closed[5] == "-d 10.200.0.0/24 -m conntrack --ctstate NEW -j REJECT --reject-with icmp-port-unreachable");
  closed.erase(closed.begin() + 4, closed.begin() + 6);
  CHECK(closed == plain);
  // A node process has the route's source, which is no VIP.
  CHECK(chain_of(rules(Family::ipv4, config), Table::nat, "KUBE-SERVICES")
            .rules.at(2)
            .ends_with("KUBE-CLUSTER-IP dst,dst -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ"));
  config.service_cidrs = {*Cidr::parse("fd00:10:96::/112")};
  CHECK(chain_of(rules(Family::ipv6, config), Table::filter, "KUBE-IPVS-FILTER").rules.at(4) ==
        "-d fd00:10:96::/112 -m conntrack --ctstate NEW -j REJECT --reject-with icmp6-port-unreachable");
}

TEST_CASE("outside clients get their marks where they can be told from others") {
  const auto outside = [](const RulesConfig& config) {
    return chain_of(rules(Family::ipv6, config), Table::mangle, "KUBE-IPVSD-OUTSIDE").rules;
  };
  RulesConfig config;
  config.outside_mask = 0x307f;
  CHECK(outside(config).empty());
  config.local_match = not_from(*Cidr::parse("fd00:10:244::/56"));
  const std::string match = "! -s fd00:10:244::/56 -m comment --comment \"" +
                            std::string(IpSet{SetKind::outside, Family::ipv6}.comment()) +
                            "\" -m set --match-set KUBE-6-IPVSD-OUTSIDE dst,dst ";
  REQUIRE(outside(config).size() == 2);
  CHECK(outside(config)[0] == match + "-j SET --map-set KUBE-6-IPVSD-OUTSIDE dst,dst --map-mark");
  CHECK(outside(config)[1] == match + "-m mark ! --mark 0x0/0xffffcf80");
  config.outside_mask = 0;
  CHECK(outside(config).empty());
}

TEST_CASE("only names of links become matches") {
  CHECK(*not_via("cni0") == "! -i cni0");
  CHECK(*not_via("br-1.10+") == "! -i br-1.10+");
  for (const auto* name : {"", "+", "a b", "x\n-A INPUT -j DROP", "a\"", "0123456789abcdef", "a/b", "a+b"})
    CHECK_FALSE(not_via(name));
}

TEST_CASE("kube-proxy's recorded rules are among ours, in their order") {
  const std::filesystem::path scenarios = std::filesystem::path(SHARED_DIR) / "conformance";
  if (!std::filesystem::is_directory(scenarios)) {
    WARN("skipped: no " << scenarios);
    return;
  }
  int compared = 0;
  for (const auto& scenario : std::filesystem::directory_iterator(scenarios)) {
    for (const auto family : families) {
      const auto path = scenario.path() / "expected" / (family == Family::ipv4 ? "iptables.txt" : "ip6tables.txt");
      if (!std::filesystem::exists(path)) continue;
      INFO(path);
      const auto expected = parse_save(read_file(path));
      REQUIRE(expected);

      RulesConfig config;
      for (const auto& table : *expected)
        for (const auto& [chain, rule, packets] : table.rules) {
          if (chain != "KUBE-SERVICES" || rule.find("CLUSTER-IP dst,dst -j KUBE-MARK-MASQ") == std::string::npos)
            continue;
          if (rule.starts_with("! -"))
            config.local_match = rule.substr(0, rule.find(" -m comment"));
          else
            config.masquerade_all = true;
        }
      const auto all = rules(family, config);
      for (const auto table : {Table::nat, Table::filter}) {
        const auto found = std::find_if(expected->begin(), expected->end(),
                                        [&](const auto& one) { return one.name == to_string(table); });
        REQUIRE(found != expected->end());
        for (const auto& name : found->chains) {
          std::vector<std::string> ours;
          if (name.starts_with("KUBE-")) {
            ours = chain_of(all, table, name).rules;
          } else {
            for (auto jump = all.jumps.rbegin(); jump != all.jumps.rend(); ++jump)
              if (jump->table == table && jump->from == name) ours.push_back(jump->rule());
          }
          auto at = ours.begin();
          for (const auto& [chain, rule, packets] : found->rules) {
            if (chain != name || name == "KUBE-IPVS-OUT-FILTER") continue;
            INFO(name << ": " << rule);
            at = std::find(at, ours.end(), rule);
            REQUIRE(at != ours.end());
            ++at;
            ++compared;
          }
        }
        const auto our_chains = std::count_if(all.chains.begin(), all.chains.end(),
                                              [&](const Chain& chain) { return chain.table == table; });
        CHECK(std::count_if(found->chains.begin(), found->chains.end(),
                            [](const auto& name) { return name.starts_with("KUBE-"); }) == our_chains);
      }
    }
  }
  CHECK(compared > 0);
}

TEST_CASE("rules that are there need nothing, in either form") {
  const auto all = rules(GENERATE(Family::ipv4, Family::ipv6), {});
  const auto result = audit(all, saved(all, GENERATE(false, true)));
  REQUIRE(result);
  INFO(result->difference);
  CHECK(result->clean());
}

TEST_CASE("a foreign rule of any length is quoted in part") {
  const auto wanted = rules(Family::ipv4, RulesConfig{});
  const auto& chain = wanted.chains.at(0);
  const auto saved = fmt::format("*{0}\n:{1} - [0:0]\n-A {1} -m comment --comment {2}\nCOMMIT\n",
                                 to_string(chain.table), chain.name, std::string(1U << 20, 'x'));
  const auto result = audit(wanted, saved);
  REQUIRE(result);
  CHECK_FALSE(result->chains_equal);
  CHECK(result->difference.size() < 1024);
}

TEST_CASE("an audit finds what is missing or different") {
  const auto all = rules(Family::ipv4, {});
  const auto empty = audit(all, "");
  REQUIRE(empty);
  CHECK_FALSE(empty->chains_equal);
  CHECK(empty->missing_jumps == all.jumps);

  for (const auto& chain : all.chains) {
    auto text = saved(all);
    const auto table_at = text.find(fmt::format("*{}\n", to_string(chain.table)));
    const auto line = chain.rules.empty() ? fmt::format(":{} - [0:0]\n", chain.name)
                                          : fmt::format("-A {} {}\n", chain.name, chain.rules.back());
    const auto at = text.find(line, table_at);
    REQUIRE(at != std::string::npos);
    text.erase(at, line.size());
    const auto result = audit(all, text);
    REQUIRE(result);
    CHECK_FALSE(result->chains_equal);
    CHECK(result->missing_jumps.empty());
    CHECK(result->difference.find(chain.name) != std::string::npos);
  }
  for (const auto& jump : all.jumps) {
    auto text = saved(all);
    const auto table_at = text.find(fmt::format("*{}\n", to_string(jump.table)));
    const auto line = fmt::format("-A {} {}\n", jump.from, jump.rule());
    text.erase(text.find(line, table_at), line.size());
    const auto result = audit(all, text);
    REQUIRE(result);
    CHECK(result->chains_equal);
    CHECK(result->missing_jumps == std::vector{jump});
  }
  auto reordered = saved(all);
  replace(reordered, "KUBE-CLUSTER-IP dst,dst -j RETURN", "KUBE-CLUSTER-IP dst,dst -j ACCEPT");
  CHECK_FALSE(audit(all, reordered)->chains_equal);
  auto longer = saved(all);
  replace(longer, "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP\n",
          "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP\n-A KUBE-SOURCE-RANGES-FIREWALL -j DROP\n");
  CHECK_FALSE(audit(all, longer)->chains_equal);
}

TEST_CASE("the audit reads what the rule for foreign mark bits counted") {
  RulesConfig config;
  CHECK_FALSE(rules(Family::ipv4, config).foreign_marks);
  config.local_match = not_from(*Cidr::parse("10.244.0.0/16"));
  config.outside_mask = 0x307f;
  const auto all = rules(Family::ipv4, config);
  REQUIRE(all.foreign_marks);
  CHECK(all.foreign_marks->rule.ends_with("-m mark ! --mark 0x0/0xffffcf80"));
  CHECK_FALSE(audit(rules(Family::ipv4, {}), saved(all, true))->foreign_marks);

  auto text = saved(all, true);
  const auto line = fmt::format("-A KUBE-IPVSD-OUTSIDE {}", all.foreign_marks->rule);
  const auto at = text.find(line);
  REQUIRE(at != std::string::npos);
  const auto begin = text.rfind('\n', at) + 1;
  text.replace(begin, at - begin, "[4294967297:240] ");
  CHECK(audit(all, text)->clean());
  CHECK(audit(all, text)->foreign_marks == 4294967297);
  replace(text, "[4294967297:240] " + line + "\n", "");
  REQUIRE(audit(all, text));
  CHECK_FALSE(audit(all, text)->foreign_marks);
}

TEST_CASE("a counter that begins anew never counts backwards") {
  CounterReading counter;
  CHECK(counter.advance(100, false) == 0);  // before our time
  CHECK(counter.advance(107, false) == 7);
  CHECK(counter.advance(3, false) == 3);  // somebody restored the rules
  CHECK(counter.advance(5, true) == 2);   // we write them again
  CHECK(counter.advance(9, false) == 9);
  CHECK(counter.advance({}, true) == 0);  // it was gone
  CHECK(counter.advance(1, false) == 1);
  CounterReading fresh;
  CHECK(fresh.advance({}, true) == 0);
  CHECK(fresh.advance(6, false) == 6);
}

TEST_CASE("text that iptables-save does not print is refused") {
  for (const auto* text :
       {"*nat\n", "*nat\nCOMMIT", "COMMIT\n", "-A INPUT -j ACCEPT\n", "*nat\n*filter\nCOMMIT\n",
        "*nat\nCOMMIT\n*nat\nCOMMIT\n", "*nat\n:INPUT\nCOMMIT\n", "*nat\n:INPUT ACCEPT [0:]\nCOMMIT\n",
        "*nat\n[1:2 -A INPUT\nCOMMIT\n", "*\nCOMMIT\n", "*nat\n-I INPUT -j ACCEPT\nCOMMIT\n",
        "*nat\n-A INPUT -m comment --comment \"x\nCOMMIT\n", "Segmentation fault\n", "*nat\n-A\nCOMMIT\n"}) {
    INFO(text);
    const auto parsed = parse_save(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::malformed);
  }
  CHECK(parse_save("*nat\n:INPUT ACCEPT\n-A INPUT\nCOMMIT\n# it's \"fine\n\n"));
}

TEST_CASE("a cut or damaged save never looks clean, nor makes a parser stumble") {
  const auto all = rules(Family::ipv4, {});
  const auto whole = saved(all);
  for (std::size_t size = 0; size + std::string_view("# Completed\n").size() < whole.size(); ++size) {
    const auto result = audit(all, std::string_view(whole).substr(0, size));
    if (result) CHECK_FALSE(result->clean());
  }
  std::mt19937 random(11);
  for (int i = 0; i < 2000; ++i) {
    auto text = whole;
    for (int flips = 0; flips < 4; ++flips) text[random() % text.size()] = static_cast<char>(random());
    (void)audit(all, text);
    (void)removal_text(text);
  }
}

TEST_CASE("removal takes our chains and jumps, and nothing else") {
  const auto all = rules(Family::ipv6, {});
  const auto text = removal_text(saved(all, GENERATE(false, true)));
  REQUIRE(text);
  CHECK(text->find("FOREIGN") == std::string::npos);
  for (const auto& chain : all.chains) CHECK(text->find(fmt::format("-X {}\n", chain.name)) != std::string::npos);
  for (const auto& jump : all.jumps)
    CHECK(text->find(fmt::format("-D {} {}\n", jump.from, jump.rule())) != std::string::npos);
  CHECK(std::count(text->begin(), text->end(), '*') == 3);
  CHECK(removal_text("*nat\n:INPUT ACCEPT [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n")->empty());
  CHECK(removal_text("")->empty());
  CHECK_FALSE(removal_text("*nat\n"));
}

TEST_CASE("a removal of our own leaves what kube-proxy takes over") {
  const auto all = rules(Family::ipv6, {});
  const auto text = removal_text(saved(all, true), Removal::own);
  REQUIRE(text);
  CHECK(text->starts_with("*mangle\n"));
  CHECK(std::count(text->begin(), text->end(), '*') == 1);
  for (const auto& chain : all.chains)
    CHECK((text->find(fmt::format("-X {}\n", chain.name)) != std::string::npos) == (chain.table == Table::mangle));
  CHECK(removal_text("*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n", Removal::own)->empty());
}

TEST_CASE("chains that others refer to stay") {
  const auto all = rules(Family::ipv4, {});
  auto text = saved(all);
  replace(text, "-A FOREIGN -p tcp -j ACCEPT\n", "-A FOREIGN -p tcp -m comment --comment \"-j X\" -j KUBE-FORWARD\n");
  const auto nat = text.rfind("-A FOREIGN -p tcp -j ACCEPT\n");
  text.replace(nat, std::string_view("-A FOREIGN -p tcp -j ACCEPT\n").size(), "-A FOREIGN -p tcp -g KUBE-MARK-MASQ\n");
  const auto removal = removal_text(text);
  REQUIRE(removal);
  CHECK(removal->find("KUBE-MARK-MASQ") == std::string::npos);
  CHECK(removal->find(":KUBE-FORWARD - [0:0]\n") != std::string::npos);
  CHECK(removal->find("-X KUBE-FORWARD") == std::string::npos);
  CHECK(removal->find("-X KUBE-SERVICES") != std::string::npos);
}

TEST_CASE("a node without iptables is told what to install") {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  const auto backend = Iptables{}.backend(Family::ipv6);
  const auto forced = Iptables(IptablesBackend::nft).ensure(Family::ipv4, {});
  const auto removed = Iptables{}.remove(Family::ipv4);
  ::setenv("PATH", path.c_str(), 1);
  REQUIRE_FALSE(backend);
  CHECK(backend.error() ==
        Error{Errc::unsupported, 0, "no ip6tables-legacy or ip6tables-nft found: apt install iptables"});
  REQUIRE_FALSE(forced);
  CHECK(forced.error() == Error{Errc::not_found, 0, "iptables-nft: not found; apt install iptables"});
  CHECK_FALSE(removed);
}

TEST_CASE("errors of iptables-restore name the line") {
  const std::string text = "*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -m physdev -j ACCEPT\nCOMMIT\n";
  const auto [status, standard_error, code, line] = GENERATE(table<int, std::string, Errc, std::string>({
      {4,
       "iptables-nft-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (No such file or directory): rule in "
       "chain KUBE-SERVICES",
       Errc::unsupported, "-A KUBE-SERVICES -m physdev"},
      {2,
       "iptables-restore v1.8.9 (legacy): Couldn't load match `physdev':No such file or directory\n\nError occurred at "
       "line: 3\nTry more",
       Errc::unsupported, "-A KUBE-SERVICES -m physdev"},
      {1, "iptables-restore: line 2 failed", Errc::unsupported, ":KUBE-SERVICES"},
      {4,
       "Another app is currently holding the xtables lock; still 1s 0us time ahead to have a chance to grab the "
       "lock...\nStopped waiting after 5s.",
       Errc::busy, "xtables lock"},
      {4,
       "iptables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must "
       "be root)\n",
       Errc::denied, "must be root"},
      {4,
       "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: TABLE_ADD failed (Operation not supported): table nat\nline "
       "2: "
       "CHAIN_USER_ADD failed (No such file or directory): chain X",
       Errc::unsupported, "table nat"},
      {4, "iptables v1.8.9 (nf_tables):  TABLE_ADD failed (Operation not supported): table nat", Errc::unsupported,
       "table nat"},
      {3,
       "ip6tables v1.8.9 (legacy): can't initialize ip6tables table `nat': Table does not exist (do you need to "
       "insmod?)\nPerhaps ip6tables or your kernel needs to be upgraded.",
       Errc::unsupported, "insmod"},
      {3,
       "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Permission denied (you must be root)\nPerhaps "
       "iptables or your kernel needs to be upgraded.",
       Errc::denied, "must be root"},
      {1, "line 99999999999999999999999: line 77 odd", Errc::unsupported, "odd"},
  }));
  const auto error = restore_error(status, standard_error, text);
  CHECK(error.code == code);
  INFO(error.context);
  CHECK(error.context.find(line) != std::string::npos);
}
