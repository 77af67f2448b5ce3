#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "daemon/config/config_file.hpp"
#include "daemon/config/duration.hpp"
#include "daemon/config/options.hpp"
#include "daemon/config/yaml_tree.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;

namespace {

const std::string head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

LoadedConfig load(const std::string& body) {
  const auto result = parse_config(head + body, "f");
  INFO(body);
  if (!result)
    for (const auto& error : result.error()) UNSCOPED_INFO(error);
  REQUIRE(result);
  return *result;
}

std::vector<std::string> errors_of(const std::string& text) {
  const auto result = parse_config(text, "f");
  return result ? std::vector<std::string>() : result.error();
}

std::string repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("durations read as Go reads them") {
  const auto [text, expected] = GENERATE(table<std::string, std::chrono::nanoseconds>({
      {"0", 0ns},
      {"0s", 0ns},
      {"-0", 0ns},
      {"30s", 30s},
      {"1m30s", 90s},
      {"1.5h", 90min},
      {"250ms", 250ms},
      {".5s", 500ms},
      {"1.s", 1s},
      {"+5s", 5s},
      {"-5s", -5s},
      {"1h2m3s4ms5us6ns", 1h + 2min + 3s + 4ms + 5us + 6ns},
      {"2s1h", 1h + 2s},
      {"7\u00b5s", 7us},
      {"7\u03bcs", 7us},
      {"24h", 24h},
      {"0.000000001s", 1ns},
      {"9223372036854775807ns", std::chrono::nanoseconds::max()},
  }));
  CHECK(parse_duration(text) == expected);
}

TEST_CASE("what is no duration is refused") {
  const auto text = GENERATE(as<std::string>{}, "", "30", "s", ".s", ".", "-", "+", "1 s", "1s ", "1d", "1e3s", "--1s",
                             "1s-1s", "1,5s", "9223372036854775808ns", "2562048h", "99999999999999999999s",
                             "9223372036s9223372036s", "1.h.", "0x1s");
  CHECK_FALSE(parse_duration(text));
}

TEST_CASE("durations print as they are read") {
  for (const auto duration : std::initializer_list<std::chrono::nanoseconds>{0ns, 1ns, 250ms, 90s, -90s, 24h + 1ns})
    CHECK(parse_duration(format_duration(duration)) == duration);
  CHECK(format_duration(24h) == "24h");
  CHECK(format_duration(90s) == "1m30s");
}

TEST_CASE("the table's defaults are the defaults") {
  const auto config = default_config();
  for (const auto& option : options()) {
    INFO(option.name);
    CHECK(option.field.get(config) == option.default_value);
    CHECK_FALSE(option.meaning.empty());
    CHECK(find_option(option.name) == &option);
  }
  const auto loaded = load("");
  CHECK(loaded.warnings.empty());
  CHECK(config_json(loaded.config) == config_json(config));
}

TEST_CASE("every honoured field reaches the configuration") {
  const auto config = load(R"(mode: ipvs
bindAddress: 192.168.77.2
healthzBindAddress: 127.0.0.1:1
metricsBindAddress: "[fd00::1]:2"
bindAddressHardFail: true
hostnameOverride: Node-1
clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}
detectLocalMode: InterfaceNamePrefix
detectLocal: {bridgeInterface: br0, interfaceNamePrefix: cali}
clusterCIDR: 10.244.0.0/16,fd00:10:244::/48
nodePortAddresses: [192.168.77.0/24, primary]
oomScoreAdj: -500
configSyncPeriod: 1m
ipvs:
  syncPeriod: 1m
  minSyncPeriod: 500ms
  scheduler: sh
  excludeCIDRs: [10.1.0.0/16]
  strictARP: true
  tcpTimeout: 15m
  tcpFinTimeout: 2m
  udpTimeout: 5m
iptables: {masqueradeBit: 15, masqueradeAll: true, syncPeriod: 10s, minSyncPeriod: 2s}
conntrack: {maxPerCore: 0, min: 7, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 2h, tcpBeLiberal: true, udpTimeout: 1s, udpStreamTimeout: 2s}
ipvsd: {iptablesBackend: nft, rulesAuditPeriod: 1m, auditPeriod: 10m, externalMarkMask: 0xff0, drainTimeout: 90s, ctlSocket: /run/c.sock,
  serviceAddresses: route, serviceCIDRs: [10.96.0.0/16, "fd00:10:96::/112"]}
)")
                          .config;
  CHECK(
      config_json(config) ==
      R"({"apiVersion":"kubeproxy.config.k8s.io/v1alpha1","kind":"KubeProxyConfiguration","mode":"ipvs",)"
      R"("bindAddress":"192.168.77.2","healthzBindAddress":"127.0.0.1:1","metricsBindAddress":"[fd00::1]:2",)"
      R"("bindAddressHardFail":true,"hostnameOverride":"Node-1","detectLocalMode":"InterfaceNamePrefix",)"
      R"("clusterCIDR":"10.244.0.0/16,fd00:10:244::/48","nodePortAddresses":["primary","192.168.77.0/24"],)"
      R"("oomScoreAdj":-500,"configSyncPeriod":"1m","clientConnection":{"kubeconfig":"/var/lib/kube-proxy/kubeconfig.conf"},)"
      R"("detectLocal":{"bridgeInterface":"br0","interfaceNamePrefix":"cali"},)"
      R"("ipvs":{"syncPeriod":"1m","minSyncPeriod":"500ms","scheduler":"sh","excludeCIDRs":["10.1.0.0/16"],"strictARP":true,)"
      R"("tcpTimeout":"15m","tcpFinTimeout":"2m","udpTimeout":"5m"},)"
      R"("iptables":{"masqueradeBit":15,"masqueradeAll":true,"syncPeriod":"10s","minSyncPeriod":"2s"},)"
      R"("conntrack":{"maxPerCore":0,"min":7,"tcpEstablishedTimeout":"0s","tcpCloseWaitTimeout":"2h","tcpBeLiberal":true,)"
      R"("udpTimeout":"1s","udpStreamTimeout":"2s"},"ipvsd":{"iptablesBackend":"nft","rulesAuditPeriod":"1m",)"
      R"("auditPeriod":"10m","externalMarkMask":"0xff0","drainTimeout":"1m30s","serviceAddresses":"route",)"
      R"("serviceCIDRs":["10.96.0.0/16","fd00:10:96::/112"],"ctlSocket":"/run/c.sock"}})");
}

TEST_CASE("a file as kubeadm writes it means the defaults") {
  const auto loaded = load(R"(bindAddress: ""
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: "", qps: 0}
clusterCIDR: ""
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: null, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null, udpStreamTimeout: 0s, udpTimeout: 0s}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables: {localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
ipvs: {excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false, syncPeriod: 0s, tcpFinTimeout: 0s, tcpTimeout: 0s, udpTimeout: 0s}
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
metricsBindAddress: ""
mode: ""
nftables: {masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel: {enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: ""}
)");
  CHECK(loaded.warnings.empty());
  CHECK(config_json(loaded.config) == config_json(default_config()));
}

TEST_CASE("server addresses") {
  CHECK(load("bindAddress: fd00::1").config.healthz->to_string() == "[::]:10256");
  CHECK(load("bindAddress: '::'").config.metrics->to_string() == "[::1]:10249");
  CHECK_FALSE(load("bindAddress: '::'").config.bind_address);
  CHECK(load("bindAddress: '::'\nhealthzBindAddress: 0.0.0.0").config.healthz->to_string() == "0.0.0.0:10256");
  CHECK(load("healthzBindAddress: ::1").config.healthz->to_string() == "[::1]:10256");
  CHECK_FALSE(load("healthzBindAddress: none").config.healthz);
  CHECK_FALSE(load("bindAddress: '::'\nmetricsBindAddress: none").config.metrics);
}

TEST_CASE("each kind of error says where, what was expected and what was there") {
  const auto [body, line] = GENERATE(table<std::string, std::string>({
      {"mode: iptables",
       "f:3: mode: expected ipvs or \"\" (there is no other mode here: set mode: ipvs, or keep kube-proxy on this "
       "node), got \"iptables\""},
      {"bindAddress: here", "f:3: bindAddress: expected an IP address, got \"here\""},
      {"healthzBindAddress: 127.0.0.1:0",
       "f:3: healthzBindAddress: expected an address and port such as 0.0.0.0:10256, or none, got \"127.0.0.1:0\""},
      {"metricsBindAddress: fd00::1:x",
       "f:3: metricsBindAddress: expected an address and port such as 0.0.0.0:10249, or none, got \"fd00::1:x\""},
      {"bindAddressHardFail: \"true\"", "f:3: bindAddressHardFail: expected true or false, got \"true\" in quotes"},
      {"bindAddressHardFail: maybe", "f:3: bindAddressHardFail: expected true or false, got \"maybe\""},
      {"oomScoreAdj: 1001", "f:3: oomScoreAdj: expected an integer from -1000 to 1000, got \"1001\""},
      {"oomScoreAdj: [1]", "f:3: oomScoreAdj: expected an integer, got a list"},
      {"conntrack:\n  min: -1", "f:4: conntrack.min: expected an integer from 0 to 2147483647, got \"-1\""},
      {"conntrack:\n  min: 99999999999999999999",
       "f:4: conntrack.min: expected an integer from 0 to 2147483647, got \"99999999999999999999\""},
      {"ipvs:\n  syncPeriod: 30",
       "f:4: ipvs.syncPeriod: expected a duration in whole milliseconds such as \"1m30s\", at least 1ms, got \"30\""},
      {"ipvs:\n  tcpTimeout: -1s",
       "f:4: ipvs.tcpTimeout: expected a duration in whole seconds such as \"90s\", got \"-1s\""},
      {"ipvs:\n  tcpTimeout: 1500ms",
       "f:4: ipvs.tcpTimeout: expected a duration in whole seconds such as \"90s\", got \"1500ms\""},
      {"ipvs:\n  tcpTimeout: 2000000h",
       "f:4: ipvs.tcpTimeout: expected a duration in whole seconds such as \"90s\", got \"2000000h\""},
      {"ipvs:\n  scheduler: ../rr",
       "f:4: ipvs.scheduler: expected the name of an IPVS scheduler such as rr, got \"../rr\""},
      {"ipvs:\n  excludeCIDRs:\n  - 10.0.0.0/8\n  - 10.0.0.1",
       "f:6: ipvs.excludeCIDRs[1]: expected a CIDR such as 10.0.0.0/8, got \"10.0.0.1\""},
      {"ipvs:\n  excludeCIDRs: 10.0.0.0/8", "f:4: ipvs.excludeCIDRs: expected a list, got \"10.0.0.0/8\""},
      {"ipvs:\n  excludeCIDRs: [[]]", "f:4: ipvs.excludeCIDRs[0]: expected a CIDR such as 10.0.0.0/8, got a list"},
      {"ipvs: [rr]", "f:3: ipvs: expected a map, got a list"},
      {"ipvs: {minSyncPeriod: 1m}",
       "f:3: ipvs.minSyncPeriod: expected minSyncPeriod to be at most syncPeriod (30s), got \"1m\""},
      {"iptables: {syncPeriod: 500ms}",
       "f:3: iptables.syncPeriod: expected minSyncPeriod (1s) to be at most syncPeriod (500ms), got \"500ms\""},
      {"iptables: {masqueradeBit: 32}", "f:3: iptables.masqueradeBit: expected an integer from 0 to 31, got \"32\""},
      {"detectLocalMode: Magic",
       "f:3: detectLocalMode: expected one of ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix, got "
       "\"Magic\""},
      {"detectLocalMode: BridgeInterface",
       "f:3: detectLocalMode: expected detectLocal.bridgeInterface to be given with it, got \"BridgeInterface\""},
      {"detectLocal: {bridgeInterface: a-name-too-long1}",
       "f:3: detectLocal.bridgeInterface: expected an interface name of at most 15 characters, got "
       "\"a-name-too-long1\""},
      {"clusterCIDR: 10.0.0.0/8,10.1.0.0/16",
       "f:3: clusterCIDR: expected one CIDR, or an IPv4 and an IPv6 CIDR separated by a comma, got "
       "\"10.0.0.0/8,10.1.0.0/16\""},
      {"clusterCIDR: 10.0.0.0/8,",
       "f:3: clusterCIDR: expected one CIDR, or an IPv4 and an IPv6 CIDR separated by a comma, got \"10.0.0.0/8,\""},
      {"nodePortAddresses: [secondary]",
       "f:3: nodePortAddresses[0]: expected a CIDR, primary, localhost or all, got \"secondary\""},
      {"ipvsd: {iptablesBackend: iptables}",
       "f:3: ipvsd.iptablesBackend: expected one of auto, legacy, nft, got \"iptables\""},
      {"ipvsd: {externalMarkMask: 0x4001}",
       "f:3: ipvsd.externalMarkMask: expected a mask without the bit of iptables.masqueradeBit (14), got \"0x4001\""},
      {"ipvsd: {externalMarkMask: 0xffffffff}",
       "f:3: ipvsd.externalMarkMask: expected a mask of at most 24 bits such as 0x307f, or 0x0, got \"0xffffffff\""},
      {"ipvsd: {drainTimeout: -1s}",
       "f:3: ipvsd.drainTimeout: expected a duration in whole seconds such as \"90s\", got \"-1s\""},
      {"ipvsd: {auditPeriod: 1ms}",
       "f:3: ipvsd.auditPeriod: expected a duration in whole seconds such as \"90s\", at least 1s, got \"1ms\""},
      {"enableProfiling: 7", "f:3: enableProfiling: expected true or false, got \"7\""},
      {"clientConnection: {qps: fast}", "f:3: clientConnection.qps: expected a number, got \"fast\""},
      {"nftables: {syncPeriod: soon}", "f:3: nftables.syncPeriod: expected a duration such as \"30s\", got \"soon\""},
      {"featureGates: true", "f:3: featureGates: expected a map, got \"true\""},
      {"ipvs:\n  shceduler: rr", "f:4: \"ipvs.shceduler\": unknown field; did you mean ipvs.scheduler?"},
      {"scheduler: rr", "f:3: \"scheduler\": unknown field; did you mean ipvs.scheduler?"},
      {"clusterCidr: 10.0.0.0/8", "f:3: \"clusterCidr\": unknown field; did you mean clusterCIDR?"},
      {"ivps: {}", "f:3: \"ivps\": unknown field; did you mean ipvs?"},
      {"somethingElse: 1", "f:3: \"somethingElse\": unknown field"},
      {"mode: ipvs\nmode: ipvs", "f:4: mode: given twice, first on line 3"},
      {"ipvs: {scheduler: rr, scheduler: sh}", "f:3: scheduler: given twice, first on line 3"},
      {"mode: &a ipvs\nhostnameOverride: *a", "f:4: YAML aliases (*name) are not supported: write the value out"},
      {"? [a]\n: b", "f:3: a key must be a string"},
      {"---\na: b", "f:4: a second document; only one is expected"},
      {"kind: Pod", "f:3: kind: expected KubeProxyConfiguration, got \"Pod\""},
  }));
  INFO(body);
  const auto errors = errors_of(head + body);
  CHECK(std::find(errors.begin(), errors.end(), line) != errors.end());
  if (errors.empty() || std::find(errors.begin(), errors.end(), line) == errors.end()) CHECK(errors == Lines{line});
}

TEST_CASE("all errors of a file come at once") {
  CHECK(
      errors_of("mode: iptables\nipvs:\n  strictArp: true\n  syncPeriod: x\n") ==
      Lines{
          "f:1: mode: expected ipvs or \"\" (there is no other mode here: set mode: ipvs, or keep kube-proxy on this "
          "node), got \"iptables\"",
          "f:3: \"ipvs.strictArp\": unknown field; did you mean ipvs.strictARP?",
          "f:4: ipvs.syncPeriod: expected a duration in whole milliseconds such as \"1m30s\", at least 1ms, got \"x\"",
          "f:1: apiVersion: expected kubeproxy.config.k8s.io/v1alpha1, got nothing",
          "f:1: kind: expected KubeProxyConfiguration, got nothing"});
}

TEST_CASE("fields without effect warn once they ask for something") {
  CHECK(load("featureGates: {A: true}\nenableProfiling: true\nportRange: ''").warnings ==
        Lines{"f:3: featureGates: has no effect here: there are no feature gates",
              "f:4: enableProfiling: has no effect here: there is no Go profiler"});
}

TEST_CASE("hostile text is refused, quickly and without a crash") {
  const auto [what, text, part] = GENERATE(table<std::string, std::string, std::string>({
      {"empty", "", "expected a KubeProxyConfiguration (a map), got nothing"},
      {"a scalar", "hello", "expected a KubeProxyConfiguration (a map), got \"hello\""},
      {"NUL", std::string("kind: a\nmo\0de: b", 16), "f:2: contains a NUL byte"},
      {"flow depth", std::string(100'000, '[') + std::string(100'000, ']'), "nested more than 32 levels deep"},
      {"open flow depth", std::string(100'000, '['), "f:1: "},
      {"map depth", repeat("{a: ", 50'000) + std::string(50'000, '}'), "nested more than 32 levels deep"},
      {"open map depth", repeat("{a: ", 50'000), "f:1: "},
      {"block depth", repeat("- ", 50'000), "nested more than 32 levels deep"},
      {"key depth", repeat("? ", 50'000), "f:1: "},
      {"size", std::string((1U << 20) + 1, ' '), "larger than the limit"},
      {"an open bracket", "ipvs: {scheduler: rr", "not valid YAML"},
      {"an open quote", "mode: \"ipvs", "not valid YAML"},
      {"a tab", "ipvs:\n\tscheduler: rr", "not valid YAML"},
      {"alias bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", "aliases"},
      {"self alias", "a: &a [*a]\n", "aliases"},
      {"bytes", "\xff\xfe\x00\xd8", "f:1: "},
  }));
  INFO(what);
  const auto errors = errors_of(text);
  REQUIRE_FALSE(errors.empty());
  INFO(errors.front());
  CHECK(errors.front().find(part) != std::string::npos);
}

TEST_CASE("a truncated file never crashes the reader") {
  const std::string text =
      head + "ipvs:\n  excludeCIDRs: [10.0.0.0/8, \"10.1.0.0/16\"]\n  scheduler: 'rr'\nconntrack: {min: 1}\n";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const auto result = parse_config(std::string_view(text).substr(0, size), "f");
    CHECK((result || !result.error().empty()));
  }
}

TEST_CASE("a flood of errors is cut off") {
  std::string text = head;
  for (int i = 0; i < 20'000; ++i) text += "unknown" + std::to_string(i / 2) + ": 1\n";
  const auto errors = errors_of(text);
  CHECK(errors.size() == 101);
  CHECK(std::count(errors.begin(), errors.end(), "too many errors") == 1);
}

TEST_CASE("files that cannot be read") {
  CHECK(read_config("/nonexistent").error() == Lines{"read /nonexistent: not found (ENOENT)"});
  CHECK(read_config("/").error() == Lines{"read /: not a regular file: malformed"});
}

TEST_CASE("the node's name") {
  Config config;
  CHECK(*node_name(config, " Lab-Node\n") == "lab-node");
  config.hostname_override = "Other";
  CHECK(*node_name(config, "lab-node") == "other");
  config.hostname_override = " \t";
  CHECK_FALSE(node_name(config, "lab-node"));
  CHECK_FALSE(node_name(Config(), ""));
}

TEST_CASE("the conformance scenarios' configurations are read") {
  const std::filesystem::path directory = std::filesystem::path(SHARED_DIR) / "conformance";
  if (!std::filesystem::is_directory(directory)) {
    WARN("skipped: " << directory << " is absent");
    return;
  }
  for (const auto& scenario : std::filesystem::directory_iterator(directory)) {
    const auto path = scenario.path() / "config.yaml";
    if (!std::filesystem::exists(path)) continue;
    INFO(path);
    const auto result = read_config(path.string());
    REQUIRE(result);
    CHECK(result->warnings.empty());
    CHECK(result->config.hostname_override == "lab-node");
    CHECK(result->config.conntrack.max_per_core == 0U);
  }
}

TEST_CASE("the default mask of outside clients avoids the masquerade bit") {
  CHECK(default_config().own.external_mark_mask == 0x307f);
  CHECK(load("iptables: {masqueradeBit: 12}").config.own.external_mark_mask == 0x207f);
}
