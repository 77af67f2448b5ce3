// --check: what was found, and what is said about it.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "daemon/check/judge.hpp"
#include "daemon/check/module_list.hpp"
#include "daemon/config/config_file.hpp"
#include "daemon/config/given_file.hpp"
#include "daemon/config/options.hpp"

using namespace ipvsd;
using namespace ipvsd::check;

namespace {

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

Backend backend(Family family, IptablesBackend kind, RuleEvidence evidence) {
  Backend made;
  made.family = family;
  made.backend = kind;
  made.installed = true;
  made.evidence = evidence;
  return made;
}

// A node on which nothing is wrong.
NodeFacts good_node() {
  NodeFacts node;
  node.root = node.net_admin = node.net_raw = true;
  node.kernel_release = "6.1.0-18-amd64";
  node.modules = {{"ip_vs", ModuleState::loaded}, {"ip_vs_rr", ModuleState::built_in}};
  node.schedulers = {"rr", "wlc"};
  node.sysctls = {{{"net/ipv4/vs/conntrack", 1}, 1, true},
                  {{"net/netfilter/nf_conntrack_max", 131072, true}, 200000, true}};
  for (const auto family : families) {
    node.backends.push_back(backend(family, IptablesBackend::nft, RuleEvidence::kubernetes));
    node.backends.push_back(backend(family, IptablesBackend::legacy, RuleEvidence::none));
  }
  node.xtables_lock_writable = true;
  node.addresses = {{"eth0", ip("192.168.77.2"), 24}, {"kube-ipvs0", ip("10.96.0.1"), 32}};
  return node;
}

Service service(std::string name, std::string_view cluster_ip) {
  Service made;
  made.key = {"default", std::move(name)};
  made.cluster_ips = {ip(cluster_ip)};
  return made;
}

ClusterFacts good_cluster() {
  ClusterFacts cluster;
  cluster.source = "https://192.168.77.9:6443";
  cluster.host = "192.168.77.9";
  cluster.accesses = {{"list", "services", 200, ""}, {"watch", "services", 200, ""}};
  cluster.services_known = cluster.node_known = cluster.node_found = true;
  cluster.services = {service("kubernetes", "10.96.0.1")};
  return cluster;
}

Findings all(const NodeFacts& node, const ClusterFacts& cluster, const Config& config = default_config()) {
  auto findings = judge_node(node, config);
  for (const auto& more : {judge_proxies(node), judge_cluster(cluster, node, config, "lab-node")})
    findings.insert(findings.end(), more.begin(), more.end());
  return findings;
}

// What is not ok or a note, as "severity subject: text -> remedy".
std::vector<std::string> complaints(const Findings& findings) {
  std::vector<std::string> texts;
  for (const auto& [severity, subject, text, remedy] : findings)
    if (severity >= Severity::warning)
      texts.push_back(fmt::format("{} {}: {} -> {}", to_string(severity), subject, text, remedy));
  return texts;
}

struct Case {
  std::string name;
  std::function<void(NodeFacts&, ClusterFacts&, Config&)> broken;
  std::string complaint;  // the beginning of the one complaint
  std::string remedy;     // part of it
};

}  // namespace

TEST_CASE("nothing is wrong with a node on which nothing is wrong") {
  CHECK(complaints(all(good_node(), good_cluster())) == std::vector<std::string>{});
}

TEST_CASE("each thing that can be wrong is said once, with a remedy") {
  const std::vector<Case> cases{
      {"not root", [](auto& n, auto&, auto&) { n.root = false; }, "problem rights: not uid 0", "run it as root"},
      {"no NET_ADMIN", [](auto& n, auto&, auto&) { n.net_admin = false; }, "problem rights: no CAP_NET_ADMIN",
       "NET_ADMIN"},
      {"no NET_RAW beside nft", [](auto& n, auto&, auto&) { n.net_raw = false; }, "warning rights: no CAP_NET_RAW",
       "NET_RAW"},
      {"old kernel", [](auto& n, auto&, auto&) { n.kernel_release = "4.18.0-513"; }, "problem kernel: 4.18.0-513",
       "upgrade"},
      {"middle-aged kernel", [](auto& n, auto&, auto&) { n.kernel_release = "5.4.0-150-generic"; },
       "warning kernel: 5.4.0-150-generic", "5.9"},
      {"no kernel that can be read", [](auto& n, auto&, auto&) { n.kernel_release = ""; },
       "problem kernel: ", "upgrade"},
      {"no IPVS", [](auto& n, auto&, auto&) { n.ipvs_error = "ipvs: this kernel has no IPVS"; },
       "problem ipvs: ipvs: this", "modprobe ip_vs"},
      {"no set type",
       [](auto& n, auto&, auto&) {
         n.modules.push_back({"ip_set_hash_ip", ModuleState::missing});
       },
       "problem module: this kernel has no ip_set_hash_ip", "linux-modules-extra-6.1.0-18-amd64"},
      {"no scheduler",
       [](auto& n, auto&, auto& c) {
         c.ipvs.scheduler = "mh";
         n.modules.push_back({"ip_vs_mh", ModuleState::missing});
       },
       "problem scheduler: this kernel has no mh (module ip_vs_mh)", "one of rr, wlc"},
      {"no IPv6 REJECT",
       [](auto& n, auto&, auto&) {
         n.modules.push_back({"ip6t_REJECT", ModuleState::missing});
       },
       "warning module: this kernel has no ip6t_REJECT", "modules"},
      {"no list of modules",
       [](auto& n, auto&, auto&) {
         n.modules.push_back({"dummy", ModuleState::unknown});
       },
       "warning modules: not loaded, and no list of this kernel's modules: dummy", "modprobe -a dummy"},
      {"conntrack of IPVS read-only",
       [](auto& n, auto&, auto&) { n.sysctls[0].value = 0, n.sysctls[0].writable = false; },
       "problem sysctl: net.ipv4.vs.conntrack is 0 and cannot be set from here; must be 1",
       "sysctl -w net.ipv4.vs.conntrack=1"},
      {"conntrack of IPVS not there", [](auto& n, auto&, auto&) { n.sysctls[0].value.reset(); },
       "problem sysctl: net.ipv4.vs.conntrack is not there", "modprobe ip_vs"},
      {"small conntrack table, read-only",
       [](auto& n, auto&, auto&) { n.sysctls[1].value = 8192, n.sysctls[1].writable = false; },
       "warning sysctl: net.netfilter.nf_conntrack_max is 8192 and cannot be set from here; must be at least 131072",
       "sysctl -w"},
      {"bridge bypasses", [](auto& n, auto&, auto&) { n.bridge_calls_iptables = 0; },
       "warning sysctl: net.bridge.bridge-nf-call-iptables is 0", "=1"},
      {"full of connections", [](auto& n, auto&, auto&) { n.connections = n.connections_max = 262144; },
       "warning conntrack: connection tracking is full: 262144 of 262144", "nf_conntrack_max"},
      {"nearly full of connections", [](auto& n, auto&, auto&) { n.connections = 236000, n.connections_max = 262144; },
       "warning conntrack: connection tracking is nearly full: 236000 of 262144", "nf_conntrack_max"},
      {"IPv6 does not forward",
       [](auto& n, auto&, auto&) {
         n.ipv6_forwarding = 0;
         n.addresses.push_back({"eth0", ip("fd00:77::2"), 64});
       },
       "warning sysctl: net.ipv6.conf.all.forwarding is 0", "=1"},
      {"no iptables", [](auto& n, auto&, auto&) { n.backends[0].installed = n.backends[1].installed = false; },
       "problem iptables IPv4: no backend to use (nft: not installed; legacy: not installed)", "install"},
      {"no ip6tables",
       [](auto& n, auto&, auto&) { n.backends[2].error = "no table nat", n.backends[3].installed = false; },
       "warning iptables IPv6: no backend to use (nft: no table nat; legacy: not installed): no IPv6 Services",
       "install"},
      {"the forced backend is not there",
       [](auto& n, auto&, auto& c) {
         c.own.iptables_backend = IptablesChoice::legacy;
         n.backends[1].installed = false;
         n.backends[2].evidence = RuleEvidence::none;
         n.backends[0].evidence = RuleEvidence::rules;
       },
       "problem iptables IPv4: no backend to use (nft: excluded by ipvsd.iptablesBackend; legacy: not installed)",
       "auto"},
      {"both backends in use", [](auto& n, auto&, auto&) { n.backends[1].evidence = RuleEvidence::kubernetes; }, "",
       "set ipvsd.iptablesBackend"},
      {"left over from iptables mode", [](auto& n, auto&, auto&) { n.backends[0].service_chains = true; },
       "warning iptables IPv4: the backend nft holds KUBE-SVC-* chains", "kube-proxy --cleanup"},
      {"no lock",
       [](auto& n, auto&, auto&) {
         n.backends[0].evidence = RuleEvidence::none;
         n.backends[1].evidence = RuleEvidence::kubernetes;
         n.xtables_lock_writable = false;
       },
       "problem iptables IPv4: /run/xtables.lock cannot be written", "mount the host's"},
      {"kube-proxy answers",
       [](auto& n, auto&, auto&) { n.answering_proxy = "127.0.0.1:10249 answers (proxyMode ipvs)"; },
       "warning proxy: 127.0.0.1:10249 answers (proxyMode ipvs): kube-ipvsd waits", "end kube-proxy"},
      {"kube-proxy runs and does not answer",
       [](auto& n, auto&, auto&) {
         n.proxies = {{77, "kube-proxy"}};
       },
       "warning proxy: kube-proxy runs here (process 77)", "end kube-proxy"},
      {"kube-router",
       [](auto& n, auto&, auto&) {
         n.proxies = {{78, "kube-router"}};
       },
       "problem proxy: kube-router runs here (process 78)", "Service proxy off"},
      {"keepalived",
       [](auto& n, auto&, auto&) {
         n.proxies = {{79, "keepalived"}};
       },
       "warning proxy: keepalived runs here", "ipvs.excludeCIDRs"},
      {"a second one", [](auto& n, auto&, auto&) { n.another_kube_ipvsd = true; },
       "warning proxy: a kube-ipvsd runs here already", ""},
      {"a ClusterIP is the node's", [](auto&, auto& c, auto&) { c.services.push_back(service("web", "192.168.77.2")); },
       "problem address: 192.168.77.2 is the ClusterIP of Service default/web and an address of eth0",
       "another address"},
      {"an external IP is the node's",
       [](auto&, auto& c, auto& config) {
         config.ipvs.strict_arp = true;
         c.services[0].external_ips = {ip("192.168.77.2")};
       },
       "warning address: 192.168.77.2 is an externalIP of Service default/kubernetes", "IPVS takes them"},
      {"no Services known, and an address on two links",
       [](auto& n, auto& c, auto&) {
         c.services_known = false;
         c.services.clear();
         n.addresses.push_back({"lo", ip("10.96.0.1"), 32});
       },
       "warning address: 10.96.0.1 is on kube-ipvs0 and on lo as well", "another address"},
      {"VIPs answer ARP everywhere",
       [](auto& n, auto& c, auto&) {
         n.arp_ignore = 0;
         c.services[0].load_balancer_ips = {ip("203.0.113.7")};
       },
       "warning arp: ipvs.strictARP is false", "ipvs.strictARP: true"},
      {"may not watch",
       [](auto&, auto& c, auto&) {
         c.accesses[1] = {"watch", "services", 403, "status 403: forbidden"};
       },
       "problem access: watch services: status 403: forbidden", "grant watch on services"},
      {"no Events",
       [](auto&, auto& c, auto&) {
         c.accesses.push_back({"create", "events", 403, "status 403: forbidden"});
       },
       "warning access: create events: status 403: forbidden", "grant create on events of events.k8s.io"},
      {"not accepted",
       [](auto&, auto& c, auto&) {
         c.accesses[0] = {"list", "services", 401, "status 401"};
       },
       "problem access: list services: status 401", "--kubeconfig"},
      {"no answer",
       [](auto&, auto& c, auto&) {
         c.accesses[0] = {"list", "services", 0, "disconnected"};
       },
       "problem access: list services: disconnected", "reachable"},
      {"nothing to ask",
       [](auto&, auto& c, auto&) {
         c = {};
         c.error = "no kubeconfig";
       },
       "warning access: not checked, nor are the Services: no kubeconfig", "--manifests DIR"},
      {"no such Node", [](auto&, auto& c, auto&) { c.node_found = false; }, "warning node: there is no Node lab-node",
       "hostnameOverride"},
      {"the server behind its own VIP", [](auto&, auto& c, auto&) { c.host = "10.96.0.1"; },
       "warning api server: https://192.168.77.9:6443 is the ClusterIP of Service default/kubernetes", "--master"},
      {"an object that cannot be read", [](auto&, auto& c, auto&) { c.warnings = {"web.yaml:3: nonsense"}; },
       "warning object: web.yaml:3: nonsense", "correct"},
  };
  for (const auto& [name, broken, complaint, remedy] : cases) {
    INFO(name);
    auto node = good_node();
    auto cluster = good_cluster();
    auto config = default_config();
    broken(node, cluster, config);
    const auto said = complaints(all(node, cluster, config));
    INFO((said.empty() ? std::string("nothing") : fmt::format("{}", fmt::join(said, "\n"))));
    REQUIRE(said.size() == 1);
    CHECK(said[0].starts_with(complaint));
    CHECK(said[0].find(remedy, said[0].find(" -> ")) != std::string::npos);
  }
}

TEST_CASE("what the daemon sets or loads by itself is a note") {
  auto node = good_node();
  node.sysctls[0].value = 0;
  node.modules.push_back({"dummy", ModuleState::loadable});
  const auto findings = judge_node(node, default_config());
  CHECK(complaints(findings).empty());
  const auto noted = [&](const std::string& text) {
    return std::any_of(findings.begin(), findings.end(),
                       [&](const Finding& f) { return f.severity == Severity::note && f.text == text; });
  };
  CHECK(noted("net.ipv4.vs.conntrack is 0, will be set to 1"));
  CHECK(noted("loaded when they are first used: dummy"));
}

TEST_CASE("hundreds of clashing addresses do not bury the rest") {
  auto cluster = good_cluster();
  for (int i = 0; i < 300; ++i) cluster.services.push_back(service(fmt::format("web-{}", i), "192.168.77.2"));
  const auto said = complaints(judge_cluster(cluster, good_node(), default_config(), "lab-node"));
  REQUIRE(said.size() == 21);
  CHECK(said.back().find("and 280 more") != std::string::npos);
}

TEST_CASE("a kube-proxy configuration: what is otherwise, by the option table") {
  const auto judge = [](std::string_view yaml) {
    const auto loaded = parse_given_config(yaml, "kp");
    return loaded ? judge_config({"kp", loaded->config, loaded->warnings, {}})
                  : judge_config({"kp", default_config(), {}, loaded.error()});
  };
  const std::string head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

  SECTION("nothing") {
    const auto findings = judge(head + "mode: ipvs\nipvs: {scheduler: wlc, strictARP: true}\n");
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].severity == Severity::ok);
  }
  SECTION("no effect, other meaning, not accepted") {
    const auto ignored = complaints(judge(head + "mode: ipvs\nfeatureGates: {A: true}\n"));
    REQUIRE(ignored.size() == 1);
    CHECK(ignored[0].find("kp:4: featureGates: has no effect here: there are no feature gates") != std::string::npos);
    const auto checked = judge(head + "ipvs: {syncPeriod: 10s}\n");
    REQUIRE(checked.size() == 2);
    CHECK(checked[0].severity == Severity::note);
    CHECK(checked[0].text.starts_with("ipvs.syncPeriod is 10s, "));
    const auto wrong = complaints(judge(head + "mode: iptables\nnoSuchThing: 1\n"));
    REQUIRE(wrong.size() == 2);
    CHECK(wrong[0].starts_with("problem configuration: kp:3: mode: expected ipvs"));
    CHECK(wrong[1].find("kp:4: \"noSuchThing\": unknown field") != std::string::npos);
  }
  SECTION("a ConfigMap as kubectl prints it") {
    const std::string map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-proxy, namespace: kube-system}\ndata:\n"
        "  kubeconfig.conf: |\n    apiVersion: v1\n    kind: Config\n"
        "  config.conf: |-\n    apiVersion: kubeproxy.config.k8s.io/v1alpha1\n    kind: KubeProxyConfiguration\n"
        "    mode: ipvs\n    portRange: 1-2\n";
    const auto said = complaints(judge(map));
    REQUIRE(said.size() == 1);
    CHECK(said[0].find("kp[config.conf]:4: portRange: has no effect here") != std::string::npos);
    const auto none = complaints(judge("kind: ConfigMap\ndata: {a: b}\n"));
    REQUIRE(none.size() == 1);
    CHECK(none[0].find("holds no KubeProxyConfiguration") != std::string::npos);
    CHECK(complaints(judge("kind: ConfigMap\n")).size() == 1);
    CHECK(complaints(judge("kind: [ConfigMap]\n")).size() >= 1);
    CHECK(complaints(judge("")).size() >= 1);
  }
}

TEST_CASE("lists of modules") {
  ModuleList list;
  add_modules("", list);
  CHECK_FALSE(list.known);
  add_modules(
      "kernel/net/netfilter/ipvs/ip_vs.ko.xz: "
      "kernel/net/nf-conntrack.ko\nkernel/net/xt-set.ko:\n\nnonsense\n.ko\nlast.ko",
      list);
  CHECK(list.known);
  CHECK(list.names == std::set<std::string>{"ip_vs", "xt_set", "last"});
}

TEST_CASE("findings as text and as JSON") {
  const Findings findings{{Severity::ok, "kernel", "6.1", ""},
                          {Severity::problem, "access", "no \xff \"quotes\"", "grant it"},
                          {Severity::warning, "arp", "hm", ""}};
  CHECK(table(findings) ==
        "ok       kernel  6.1\n"
        "PROBLEM  access  no \xff \"quotes\"\n"
        "                 -> grant it\n"
        "warning  arp     hm\n"
        "1 problem, 1 warning\n");
  const auto document = nlohmann::json::parse(json(findings, "1.2.3"));
  CHECK(document["version"] == "1.2.3");
  CHECK(document["result"] == "problem");
  CHECK(document["problems"] == 1);
  CHECK(document["findings"].size() == 3);
  CHECK(document["findings"][1]["remedy"] == "grant it");
  CHECK(worst({}) == Severity::ok);
  CHECK(table({}) == "0 problems, 0 warnings\n");
}

TEST_CASE("Service CIDRs that are to be routes: wrong, overlapping, missing") {
  auto config = default_config();
  auto cluster = good_cluster();
  const auto node = good_node();
  const auto cidrs = [](std::initializer_list<std::string_view> texts) {
    std::vector<Cidr> made;
    for (const auto text : texts) made.push_back(*Cidr::parse(text));
    return made;
  };
  const auto said = [&] { return complaints(judge_service_cidrs(cluster, node, config)); };
  using Texts = std::vector<std::string>;
  cluster.pod_cidrs = cidrs({"10.244.1.0/24"});
  cluster.service_cidrs = cidrs({"192.168.0.0/16"});
  CHECK(judge_service_cidrs(cluster, node, config).empty());  // VIPs are bound

  config.own.service_addresses = ServiceAddresses::route;
  CHECK(said() ==
        Texts{"warning service cidr: Service CIDR 192.168.0.0/16 gets no local route: 192.168.77.2 of eth0 is "
              "in it; its VIPs are bound to kube-ipvs0 -> correct ipvsd.serviceCIDRs",
              "warning service cidr: 1 ClusterIPs are in no Service CIDR that gets a route, first 10.96.0.1 of "
              "Service default/kubernetes: they are bound to kube-ipvs0 -> add what is missing to "
              "ipvsd.serviceCIDRs; it costs time at the start only"});
  cluster.service_cidrs = cidrs({"10.96.0.0/16", "fd00:10:96::/112"});
  const auto good = judge_service_cidrs(cluster, node, config);
  REQUIRE(good.size() == 1);
  CHECK(good[0].text == "VIPs are local by routes to 10.96.0.0/16 and fd00:10:96::/112");
  cluster.service_cidrs = cidrs({"10.96.0.0/16", "10.244.0.0/16"});
  CHECK(said() == Texts{"problem service cidr: Service CIDR 10.244.0.0/16 overlaps podCIDR 10.244.1.0/24 of this Node: "
                        "by its route pods would not be reached -> correct ipvsd.serviceCIDRs, or set "
                        "ipvsd.serviceAddresses: bind"});
  config.cluster_cidrs = cidrs({"10.244.0.0/16"});
  CHECK_THAT(said().at(0), Catch::Contains("it overlaps clusterCIDR 10.244.0.0/16"));

  cluster.service_cidrs_error = "list ServiceCIDRs: status 403";
  CHECK(said() == Texts{"warning service cidr: list ServiceCIDRs: status 403; until then VIPs are bound -> set "
                        "ipvsd.serviceCIDRs"});
  cluster.host.clear();  // manifests
  CHECK_THAT(said().at(0), Catch::StartsWith("problem service cidr"));
}
