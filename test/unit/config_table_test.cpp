// Every option there is, with a wrong type and with a wrong value; the configuration in its three dialects.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

#include "daemon/config/config_file.hpp"
#include "daemon/config/family_check.hpp"
#include "daemon/config/options.hpp"
#include "daemon/config/service_cidrs.hpp"

using namespace ipvsd;

namespace {

const std::string head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

// The option in a file, below the head; a section goes to a line of its own, so that the value's line is the last.
std::string in_file(const Option& option, const std::string& value) {
  if (option.name == "kind") return "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nmode: ipvs\nkind: " + value + "\n";
  if (option.name == "apiVersion") return "kind: KubeProxyConfiguration\nmode: ipvs\napiVersion: " + value + "\n";
  const auto dot = option.name.find('.');
  if (dot == std::string::npos) return head + option.name + ": " + value + "\n";
  return head + option.name.substr(0, dot) + ":\n  " + option.name.substr(dot + 1) + ": " + value + "\n";
}

int last_line(const std::string& text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')); }

// That there is one error, at the value's line, about this field: what was expected, and what was got.
void check_refused(const Option& option, const std::string& value) {
  const auto text = in_file(option, value);
  INFO(text);
  const auto result = parse_config(text, "f");
  REQUIRE_FALSE(result);
  CAPTURE(result.error());
  REQUIRE(result.error().size() == 1);
  const auto& error = result.error().front();
  CHECK_THAT(error, Catch::StartsWith("f:" + std::to_string(last_line(text)) + ": " + option.name));
  CHECK_THAT(error, Catch::Contains(": expected ") && Catch::Contains(", got "));
}

// Options that take whatever has their type.
const std::set<std::string> free_options{"clientConnection.kubeconfig",
                                         "clientConnection.acceptContentTypes",
                                         "clientConnection.contentType",
                                         "logging.flushFrequency",
                                         "logging.vmodule",
                                         "logging.options",
                                         "winkernel.networkName",
                                         "winkernel.sourceVip",
                                         "winkernel.rootHnsEndpointName"};

const std::map<std::string, std::vector<std::string>> wrong_values{
    {"apiVersion", {"kubeproxy.config.k8s.io/v1", "v1"}},
    {"kind", {"Pod"}},
    {"mode", {"iptables", "nftables", "IPVS"}},
    {"bindAddress", {"here", "10.0.0.1:80", "10.0.0.0/8", "fd00::1%eth0"}},
    {"healthzBindAddress", {"here", "10.0.0.1:0", "10.0.0.1:65536", "fd00::1:x", "localhost:10256"}},
    {"metricsBindAddress", {"here", "10.0.0.1:0", "\"[10.0.0.1]:80\"", "\":10249\""}},
    {"bindAddressHardFail", {"maybe", "1"}},
    {"ipvsd.externalMarkMask", {"0x4001", "0xffffffff", "0x", "0xg"}},
    {"ipvsd.ctlSocket", {"run/ctl.sock", "nowhere"}},
    {"hostnameOverride", {"a/b", "a b", "-a", "a_b"}},
    {"detectLocalMode", {"Magic", "clustercidr"}},
    {"detectLocal.bridgeInterface", {"a-name-too-long1", "a/b"}},
    {"detectLocal.interfaceNamePrefix", {"a-name-too-long1", "a b"}},
    {"clusterCIDR", {"10.0.0.1", "10.0.0.0/33", "10.0.0.0/8,10.1.0.0/16", "10.0.0.0/8,", "pods"}},
    {"nodePortAddresses", {"[secondary]", "[10.0.0.1]", "[10.0.0.0/8, x]", "[[]]"}},
    {"oomScoreAdj", {"1001", "-1001", "1.5", "low"}},
    {"configSyncPeriod", {"-1s", "soon", "15"}},
    {"ipvs.syncPeriod", {"-1s", "soon", "30"}},
    {"ipvs.minSyncPeriod", {"-1s", "soon", "1m"}},
    {"ipvs.scheduler", {"../rr", "a-name-too-long1", "RR"}},
    {"ipvs.excludeCIDRs", {"[10.0.0.1]", "[x]", "[{}]"}},
    {"ipvs.strictARP", {"maybe"}},
    {"ipvs.tcpTimeout", {"-1s", "1500ms", "soon"}},
    {"ipvs.tcpFinTimeout", {"-1s", "1500ms", "soon"}},
    {"ipvs.udpTimeout", {"-1s", "1500ms", "soon"}},
    {"iptables.masqueradeBit", {"32", "-1"}},
    {"iptables.masqueradeAll", {"maybe"}},
    {"iptables.syncPeriod", {"-1s", "soon", "500ms"}},
    {"iptables.minSyncPeriod", {"-1s", "soon", "1m"}},
    {"conntrack.maxPerCore", {"-1", "many", "99999999999"}},
    {"conntrack.min", {"-1", "many"}},
    {"conntrack.tcpEstablishedTimeout", {"-1s", "soon"}},
    {"conntrack.tcpCloseWaitTimeout", {"-1s", "soon"}},
    {"conntrack.tcpBeLiberal", {"maybe"}},
    {"conntrack.udpTimeout", {"-1s", "soon"}},
    {"conntrack.udpStreamTimeout", {"-1s", "soon"}},
    {"ipvsd.iptablesBackend", {"iptables", "NFT"}},
    {"ipvsd.rulesAuditPeriod", {"-1s", "1ms", "soon"}},
    {"ipvsd.auditPeriod", {"-1s", "1ms", "soon"}},
    {"ipvsd.externalMarkMask", {"bits", "\"-1\"", "\"0x1ffffffff\""}},
    {"ipvsd.drainTimeout", {"-1s", "1500ms", "soon"}},
    {"enableProfiling", {"maybe"}},
    {"showHiddenMetricsForVersion", {"one", "\"1\""}},
    {"clientConnection.qps", {"fast"}},
    {"clientConnection.burst", {"-1", "many"}},
    {"logging.format", {"xml"}},
    {"logging.verbosity", {"-1", "loud"}},
    {"featureGates", {"{A: maybe}", "{A: 1}", "{A: \"true\"}"}},
    {"iptables.localhostNodePorts", {"maybe"}},
    {"iptables.snatNodeInternalIP", {"maybe"}},
    {"ipvsd.serviceAddresses", {"bound", "routes"}},
    {"ipvsd.serviceCIDRs", {"[10.96.0.0]", "[10.96.0.0/33]", "[all]"}},
    {"portRange", {"2000-1000", "a-b", "1-70000", "65000+1000"}},
    {"nftables.masqueradeBit", {"32", "-1"}},
    {"nftables.masqueradeAll", {"maybe"}},
    {"nftables.syncPeriod", {"-1s", "soon"}},
    {"nftables.minSyncPeriod", {"-1s", "soon"}},
    {"winkernel.enableDSR", {"maybe"}},
    {"winkernel.forwardHealthCheckVip", {"maybe"}},
    {"windowsRunAsService", {"maybe"}},
};

}  // namespace

TEST_CASE("every option refuses a wrong type, and says where and what it takes") {
  for (const auto& option : options()) {
    switch (option.type) {
      case OptionType::boolean:
      case OptionType::integer:
      case OptionType::number:
        check_refused(option, "\"" + option.default_value + "\"");
        check_refused(option, "[1]");
        check_refused(option, "{a: 1}");
        break;
      case OptionType::text:
        for (const auto* value : {"1.5", "true", "[x]", "{a: x}"}) check_refused(option, value);
        if (!option.default_value.starts_with("0x")) check_refused(option, "17");  // a mask is a number in any base
        break;
      case OptionType::duration:
        for (const auto* value : {"true", "[30s]", "{a: 30s}"}) check_refused(option, value);
        break;
      case OptionType::list:
        for (const auto* value : {"10.0.0.0/8", "7", "{a: x}"}) check_refused(option, value);
        break;
      case OptionType::map:
        for (const auto* value : {"x", "true", "[x]"}) check_refused(option, value);
        break;
      case OptionType::anything: CHECK(free_options.contains(option.name)); break;
    }
  }
}

TEST_CASE("every option refuses wrong values") {
  for (const auto& option : options()) {
    INFO(option.name);
    const auto wrong = wrong_values.find(option.name);
    // A new option belongs into one of the two lists.
    REQUIRE((wrong != wrong_values.end()) != free_options.contains(option.name));
    if (wrong == wrong_values.end()) continue;
    for (const auto& value : wrong->second) check_refused(option, value);
  }
}

TEST_CASE("all wrong fields of a file come at once, each with its line") {
  std::string text = head;
  std::size_t count = 0;
  for (const auto& option : options()) {
    const auto wrong = wrong_values.find(option.name);
    if (wrong == wrong_values.end() || option.name.find('.') != std::string::npos) continue;
    if (option.name == "apiVersion" || option.name == "kind") continue;
    text += option.name + ": " + wrong->second.front() + "\n";
    ++count;
  }
  const auto result = parse_config(text, "f");
  REQUIRE_FALSE(result);
  CAPTURE(result.error());
  CHECK(result.error().size() == count);
  for (std::size_t i = 0; i < result.error().size(); ++i)
    CHECK_THAT(result.error()[i], Catch::StartsWith("f:" + std::to_string(i + 3) + ": "));
}

TEST_CASE("every section refuses what is no map") {
  std::set<std::string> sections;
  for (const auto& option : options())
    if (const auto dot = option.name.find('.'); dot != std::string::npos) sections.insert(option.name.substr(0, dot));
  CHECK(sections.size() == 9);
  for (const auto& section : sections)
    for (const auto* value : {"x", "[x]"}) {
      const auto result = parse_config(head + section + ": " + value + "\n", "f");
      REQUIRE_FALSE(result);
      CHECK_THAT(result.error().front(), Catch::StartsWith("f:3: " + section + ": expected a map, got "));
    }
}

TEST_CASE("what is written reads back as it was") {
  auto text = head + R"(bindAddress: fd00::2
healthzBindAddress: none
metricsBindAddress: "[::]:1"
hostnameOverride: "17"
nodePortAddresses: [primary, 10.0.0.0/8, localhost]
clusterCIDR: 10.244.0.0/16,fd00:10:244::/48
detectLocalMode: BridgeInterface
detectLocal: {bridgeInterface: "1"}
ipvs: {scheduler: mh, syncPeriod: 1m30s, excludeCIDRs: [10.1.0.0/16, "fd00::/8"]}
conntrack: {maxPerCore: 0, tcpBeLiberal: true}
ipvsd: {iptablesBackend: legacy}
)";
  for (const auto& body : {head, text}) {
    const auto first = parse_config(body, "f");
    REQUIRE(first);
    const auto written = config_yaml(first->config);
    CAPTURE(written);
    const auto second = parse_config(written, "g");
    if (!second) UNSCOPED_INFO(second.error().front());
    REQUIRE(second);
    CHECK(config_json(second->config) == config_json(first->config));
    CHECK(second->warnings.empty());
  }
}

TEST_CASE("configz has the fields of kube-proxy's Go types, and their forms") {
  const auto config = nlohmann::json::parse(configz_json(default_config()));
  CHECK(config["BindAddress"] == "0.0.0.0");
  CHECK(config["HealthzBindAddress"] == "0.0.0.0:10256");
  CHECK(config["MetricsBindAddress"] == "127.0.0.1:10249");
  CHECK(config["BindAddressHardFail"] == false);
  CHECK(config["ClientConnection"] == nlohmann::json({{"Kubeconfig", ""},
                                                      {"AcceptContentTypes", ""},
                                                      {"ContentType", "application/vnd.kubernetes.protobuf"},
                                                      {"QPS", 5},
                                                      {"Burst", 10}}));
  CHECK(config["IPVS"] == nlohmann::json({{"SyncPeriod", "30s"},
                                          {"MinSyncPeriod", "0s"},
                                          {"Scheduler", ""},
                                          {"ExcludeCIDRs", nullptr},
                                          {"StrictARP", false},
                                          {"TCPTimeout", "0s"},
                                          {"TCPFinTimeout", "0s"},
                                          {"UDPTimeout", "0s"}}));
  CHECK(config["Conntrack"] == nlohmann::json({{"MaxPerCore", 32768},
                                               {"Min", 131072},
                                               {"TCPEstablishedTimeout", "24h0m0s"},
                                               {"TCPCloseWaitTimeout", "1h0m0s"},
                                               {"TCPBeLiberal", false},
                                               {"UDPTimeout", "0s"},
                                               {"UDPStreamTimeout", "0s"}}));
  CHECK(config["IPTables"]["MasqueradeBit"] == 14);
  CHECK(config["IPTables"]["LocalhostNodePorts"] == true);
  CHECK(config["OOMScoreAdj"] == -999);
  CHECK(config["Mode"] == "ipvs");
  CHECK(config["ConfigSyncPeriod"] == "15m0s");
  CHECK(config["NodePortAddresses"] == nullptr);
  CHECK(config["FeatureGates"] == nlohmann::json::object());
  CHECK(config["DetectLocalMode"] == "ClusterCIDR");
  CHECK(config["DetectLocal"] == nlohmann::json({{"BridgeInterface", ""}, {"InterfaceNamePrefix", ""}}));
  CHECK(config["Winkernel"]["EnableDSR"] == false);
  CHECK(config["Logging"]["flushFrequency"] == "5s");
  CHECK_FALSE(config.contains("Kind"));
  auto changed = default_config();
  changed.healthz.reset();
  changed.ipvs.sync_period = std::chrono::milliseconds(90'500);
  changed.node_port_addresses_primary = true;
  const auto other = nlohmann::json::parse(configz_json(changed));
  CHECK(other["HealthzBindAddress"] == "");
  CHECK(other["IPVS"]["SyncPeriod"] == "1m30.5s");
  CHECK(other["NodePortAddresses"] == nlohmann::json({"primary"}));
}

TEST_CASE("settings of a family that the node does not serve") {
  const auto cidr = [](const char* text) { return *Cidr::parse(text); };
  auto config = default_config();
  CHECK(check_families(config, {true, true}).warnings.empty());
  CHECK(check_families(config, {true, false}).warnings.empty());
  CHECK(check_families(config, {false, true}).warnings.empty());

  config.node_port_addresses = {cidr("10.0.0.0/8")};
  REQUIRE(check_families(config, {true, true}).warnings.size() == 1);
  CHECK_THAT(check_families(config, {true, true}).warnings[0],
             Catch::StartsWith("nodePortAddresses has IPv4 only: no NodePort is served on IPv6 addresses"));
  CHECK(check_families(config, {true, false}).warnings.empty());
  config.node_port_addresses_primary = true;
  CHECK(check_families(config, {true, true}).warnings.empty());

  config.cluster_cidrs = {cidr("fd00::/48")};
  config.ipvs.exclude_cidrs = {cidr("fd01::/48")};
  config.bind_address = *IpAddress::parse("fd00::2");
  config.healthz = SocketAddress{*IpAddress::parse("fd00::2"), Port{10256}};
  const auto check = check_families(config, {true, false});
  CHECK(check.warnings.size() == 4);
  REQUIRE(check.fatal);
  CHECK_THAT(*check.fatal, Catch::StartsWith("clusterCIDR is of IPv6 only, and this node serves IPv4 only"));
  CHECK_FALSE(check_families(config, {true, true}).fatal);
  config.detect_local_mode = DetectLocalMode::bridge_interface;
  CHECK_FALSE(check_families(config, {true, false}).fatal);
}

TEST_CASE("which Service CIDRs can be made local as a whole") {
  Config config;
  config.cluster_cidrs = {*Cidr::parse("10.244.0.0/16")};
  const std::vector<LinkAddress> addresses{{"eth0", *IpAddress::parse("192.168.77.2"), 24},
                                           {std::string(ipvs_link_name), *IpAddress::parse("10.96.0.1"), 32}};
  std::vector<Cidr> found;
  for (const auto* text : {"fd00:10:96::/112", "10.96.0.0/16", "10.96.0.0/16", "10.0.0.0/8", "192.168.77.0/30",
                           "0.0.0.0/0", "10.244.7.0/24"})
    found.push_back(*Cidr::parse(text));
  const auto usable = usable_service_cidrs(config, found, addresses);
  CHECK(usable.cidrs == std::vector{*Cidr::parse("10.96.0.0/16"), *Cidr::parse("fd00:10:96::/112")});
  REQUIRE(usable.warnings.size() == 4);
  CHECK(usable.warnings[0].find("10.0.0.0/8 gets no local route: it overlaps clusterCIDR 10.244.0.0/16") !=
        std::string::npos);
  CHECK(usable.warnings[1].find("192.168.77.2 of eth0 is in it") != std::string::npos);
  CHECK(usable.warnings[2].find("shorter than /8") != std::string::npos);
  CHECK(usable.warnings[3].find("10.244.7.0/24") != std::string::npos);
}

TEST_CASE("Service CIDRs are in effect with serviceAddresses route alone") {
  Config config;
  config.own.service_cidrs = {*Cidr::parse("10.96.0.0/16")};
  CHECK(routed_cidrs(config).empty());
  config.own.service_addresses = ServiceAddresses::route;
  CHECK(routed_cidrs(config) == config.own.service_cidrs);
}

TEST_CASE("a Node whose pods' addresses are of no use") {
  auto config = default_config();
  const std::vector<Cidr> ipv4{*Cidr::parse("10.244.1.0/24")};
  CHECK_FALSE(check_pod_cidrs(config, {}, {true, true}));
  config.detect_local_mode = DetectLocalMode::node_cidr;
  CHECK_FALSE(check_pod_cidrs(config, ipv4, {true, true}));
  REQUIRE(check_pod_cidrs(config, {}, {true, true}));
  CHECK_THAT(*check_pod_cidrs(config, {}, {true, true}), Catch::Contains("the Node has no spec.podCIDRs"));
  CHECK_THAT(*check_pod_cidrs(config, ipv4, {false, true}), Catch::Contains("of a family that is not served"));
}
