#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/config/flags.hpp"
#include "daemon/config/options.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;

namespace {

tl::expected<Flags, CommandLineExit> parse(std::vector<std::string> arguments) {
  std::vector<const char*> argv{"kube-ipvsd"};
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  return parse_flags(static_cast<int>(argv.size()), argv.data());
}

struct TemporaryFile {
  explicit TemporaryFile(const std::string& text) {
    char name[] = "/tmp/ipvsd-flags-XXXXXX";
    const int fd = ::mkstemp(name);
    REQUIRE(fd >= 0);
    ::close(fd);
    path = name;
    std::ofstream(path) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

}  // namespace

TEST_CASE("no flags mean the defaults") {
  const auto flags = parse({});
  REQUIRE(flags);
  CHECK(config_json(flags->config) == config_json(default_config()));
  CHECK(flags->log_level == LogLevel::info);
  CHECK(flags->warnings.empty());
}

TEST_CASE("flags set the fields they name") {
  const auto flags = parse({"--kubeconfig",
                            "/k",
                            "--proxy-mode=ipvs",
                            "--ipvs-scheduler=sh",
                            "--ipvs-exclude-cidrs=10.1.0.0/16,10.2.0.0/16",
                            "--ipvs-strict-arp",
                            "--masquerade-all=true",
                            "--bind-address-hard-fail=false",
                            "--oom-score-adj",
                            "-500",
                            "--ipvs-tcp-timeout=15m",
                            "--nodeport-addresses=10.0.0.0/8",
                            "--nodeport-addresses=fd00::/8",
                            "--cluster-cidr=10.244.0.0/16",
                            "--healthz-bind-address=",
                            "--metrics-bind-address",
                            "0.0.0.0:9999",
                            "--conntrack-max-per-core=0",
                            "-v=4",
                            "--once",
                            "--dry-run"});
  REQUIRE(flags);
  const auto& config = flags->config;
  CHECK(config.kubeconfig == "/k");
  CHECK(config.ipvs.scheduler == "sh");
  CHECK(config.ipvs.exclude_cidrs.size() == 2);
  CHECK(config.ipvs.strict_arp);
  CHECK(config.masquerade_all);
  CHECK_FALSE(config.bind_address_hard_fail);
  CHECK(config.oom_score_adj == -500);
  CHECK(config.ipvs.tcp_timeout == 15min);
  CHECK(config.node_port_addresses.size() == 2);
  CHECK(config.cluster_cidrs.size() == 1);
  CHECK_FALSE(config.healthz);
  CHECK(config.metrics->to_string() == "0.0.0.0:9999");
  CHECK(config.conntrack.max_per_core == 0U);
  CHECK(flags->log_level == LogLevel::debug);
  CHECK(flags->once);
  CHECK(flags->dry_run);
  CHECK_FALSE(flags->cleanup);
}

TEST_CASE("every flag of the table can be given its default") {
  for (const auto& option : options()) {
    if (option.flag.empty() || option.type == OptionType::list || option.type == OptionType::map) continue;
    INFO(option.flag);
    const auto flags = parse({option.flag + "=" + option.default_value});
    if (!flags) UNSCOPED_INFO(flags.error().text);
    REQUIRE(flags);
    CHECK(flags->warnings.empty());
    CHECK(config_json(flags->config) == config_json(default_config()));
  }
}

TEST_CASE("wrong command lines say what is wrong and end with 2") {
  const auto [arguments, text] = GENERATE(table<std::vector<std::string>, std::string>({
      {{"--ipvs-tcp-timeout=soon"},
       "--ipvs-tcp-timeout: expected a duration in whole seconds such as \"90s\", got \"soon\"\n"},
      {{"--proxy-mode=iptables"}, "--proxy-mode: expected ipvs or \"\""},
      {{"--masquerade-all=maybe"}, "--masquerade-all"},
      {{"--ipvs-exclude-cidrs=10.0.0.0/8,x"},
       "--ipvs-exclude-cidrs[1]: expected a CIDR such as 10.0.0.0/8, got \"x\"\n"},
      {{"--ipvs-min-sync-period=1m"},
       "--ipvs-min-sync-period: expected minSyncPeriod to be at most syncPeriod (30s), got \"1m\"\n"},
      {{"--detect-local-mode=BridgeInterface"},
       "--detect-local-mode: expected detectLocal.bridgeInterface to be given"},
      {{"--log-level=loud"}, "--log-level: expected"},
      {{"-v=x"}, "-v: expected an integer"},
      {{"--manifests=/m", "--kubeconfig=/k"}, "--manifests and --kubeconfig exclude each other\n"},
      {{"--manifests=/m", "--master=http://x"}, "--manifests and --master exclude each other\n"},
      {{"--nonsense"}, "--nonsense"},
      {{"positional"}, "positional"},
      {{"--ipvs-scheduler"}, "--ipvs-scheduler"},
  }));
  const auto flags = parse(arguments);
  REQUIRE_FALSE(flags);
  CHECK(flags.error().status == 2);
  CHECK_THAT(flags.error().text, Catch::Contains(text));
}

TEST_CASE("empty values, joined or apart") {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"--ipvs-scheduler="},
                                                                     {"--ipvs-scheduler", ""},
                                                                     {"--nodeport-addresses="},
                                                                     {"--bind-address", ""},
                                                                     {"--config="},
                                                                     {"--manifests", ""}}) {
    const auto flags = parse(arguments);
    REQUIRE(flags);
    CHECK(config_json(flags->config) == config_json(default_config()));
    CHECK(flags->manifests.empty());
  }
  CHECK_FALSE(parse({"--metrics-bind-address", ""})->config.metrics);
  CHECK_FALSE(parse({""}));
  CHECK_FALSE(parse({"--masquerade-all="}));
}

TEST_CASE("several wrong flags are reported together") {
  const auto flags = parse({"--oom-score-adj=9999", "--bind-address=x"});
  REQUIRE_FALSE(flags);
  CHECK_THAT(flags.error().text, Catch::Contains("--oom-score-adj: ") && Catch::Contains("--bind-address: "));
}

TEST_CASE("help goes to standard output") {
  const auto flags = parse({"--help"});
  REQUIRE_FALSE(flags);
  CHECK(flags.error().status == 0);
  CHECK_THAT(flags.error().text, Catch::Contains("--ipvs-scheduler") && Catch::Contains("--manifests"));
}

TEST_CASE("a configuration file silences the flags that it replaces") {
  const TemporaryFile file(
      "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\nhostnameOverride: "
      "a\nipvs: {scheduler: sh}\n");
  const auto flags = parse({"--config=" + file.path, "--hostname-override=b", "--ipvs-scheduler=wlc",
                            "--masquerade-all", "--master=https://x", "--log-level=error"});
  REQUIRE(flags);
  CHECK(flags->config.ipvs.scheduler == "sh");
  CHECK(flags->config.hostname_override == "b");
  CHECK_FALSE(flags->config.masquerade_all);
  CHECK(flags->master == "https://x");
  CHECK(flags->log_level == LogLevel::error);
  REQUIRE(flags->warnings.size() == 1);
  CHECK_THAT(flags->warnings[0], Catch::StartsWith("--config is given: ignored ") &&
                                     Catch::Contains("--ipvs-scheduler") && Catch::Contains("--masquerade-all") &&
                                     !Catch::Contains("--hostname-override"));
}

TEST_CASE("a wrong configuration file ends with 1 and names the file") {
  const TemporaryFile file("mode: iptables\n");
  const auto flags = parse({"--config", file.path});
  REQUIRE_FALSE(flags);
  CHECK(flags.error().status == 1);
  CHECK_THAT(flags.error().text, Catch::StartsWith(file.path + ":1: mode: expected ipvs"));
}

TEST_CASE("the deprecated port flags") {
  CHECK_FALSE(parse({"--healthz-port=0"})->config.healthz);
  CHECK_FALSE(parse({"--metrics-port=0"})->config.metrics);
  CHECK(parse({"--healthz-port=1"})->config.healthz->to_string() == "0.0.0.0:1");
  CHECK(parse({"--metrics-port=2"})->config.metrics->to_string() == "127.0.0.1:2");
  CHECK(parse({"--metrics-port=2", "--bind-address=fd00::1"})->config.metrics->to_string() == "[::1]:2");
  CHECK(parse({"--healthz-port=3", "--healthz-bind-address=10.0.0.1"})->config.healthz->to_string() == "10.0.0.1:3");
  CHECK(parse({"--healthz-port=3", "--healthz-bind-address=fd00::1"})->config.healthz->to_string() == "[fd00::1]:3");
  CHECK(parse({"--healthz-port=3", "--healthz-bind-address=10.0.0.1:4"})->config.healthz->to_string() == "10.0.0.1:4");
  for (const auto* wrong : {"--healthz-port=x", "--metrics-port=65536", "--healthz-port=-1"}) {
    const auto flags = parse({wrong});
    REQUIRE_FALSE(flags);
    CHECK_THAT(flags.error().text, Catch::Contains("expected an integer from 0 to 65535"));
  }
}

TEST_CASE("flags of Go's logging are taken, and do nothing") {
  const auto flags = parse({"--vmodule=a=1", "--log-json-split-stream", "--log-text-split-stream=false",
                            "--log-json-info-buffer-size=1Mi", "--log-text-info-buffer-size", "0",
                            "--logging-format=json", "--log-flush-frequency=5s"});
  if (!flags) UNSCOPED_INFO(flags.error().text);
  REQUIRE(flags);
  CHECK(config_json(flags->config) == config_json(default_config()));
}

TEST_CASE("what ends without serving") {
  CHECK(parse({"--init-only"})->init_only);
  CHECK(parse({"--hand-over"})->hand_over);
  CHECK(parse({"--write-config-to=/tmp/x"})->write_config_to == "/tmp/x");
  CHECK_FALSE(parse({"--hostname-override=a/b"}));
}
