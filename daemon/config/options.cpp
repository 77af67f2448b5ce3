#include "daemon/config/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "daemon/config/fields.hpp"

namespace ipvsd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t int32_max = INT32_MAX;

// The accessor of a field, for const and non-const Config alike.
#define FIELD(member) \
  [](auto& config) -> auto& { return config.member; }

Field fixed_field(std::vector<std::string> accepted, std::string shown, std::string expected) {
  return {[=](Config&, const YamlNode& node) -> std::vector<Problem> {
            if (std::find(accepted.begin(), accepted.end(), node.text) != accepted.end()) return {};
            return {{"", node.line, expected, node.shown()}};
          },
          [=](const Config&) { return shown; }};
}

template <class Value>
struct Name {
  std::string_view text;
  Value value;
};

// "" keeps the default.
template <class Access, class Value>
Field choice_field(Access access, std::vector<Name<Value>> names) {
  std::string expected;
  for (const auto& name : names) expected += (expected.empty() ? "" : ", ") + std::string(name.text);
  return {[=](Config& config, const YamlNode& node) -> std::vector<Problem> {
            for (const auto& name : names)
              if (name.text == node.text) access(config) = name.value;
            const bool known =
                std::any_of(names.begin(), names.end(), [&](auto& name) { return name.text == node.text; });
            if (known || node.text.empty()) return {};
            return {{"", node.line, "one of " + expected, node.shown()}};
          },
          [=](const Config& config) {
            const auto* name = &names.front();
            for (const auto& candidate : names)
              if (candidate.value == access(config)) name = &candidate;
            return std::string(name->text);
          }};
}

Field bind_address_field() {
  return {[](Config& config, const YamlNode& node) -> std::vector<Problem> {
            if (node.text.empty()) return {};
            const auto address = IpAddress::parse(node.text);
            if (!address) return {{"", node.line, "an IP address", node.shown()}};
            config.bind_address = *address;
            return {};
          },
          [](const Config& config) { return config.bind_address.value_or(IpAddress()).to_string(); }};
}

Field cluster_cidr_field() {
  return {[](Config& config, const YamlNode& node) -> std::vector<Problem> {
            std::vector<Cidr> cidrs;
            std::string_view left = node.text;
            bool good = true;
            while (good && !left.empty()) {
              const auto comma = left.find(',');
              const auto cidr = Cidr::parse(left.substr(0, comma));
              good = cidr.has_value() && comma != left.size() - 1;
              if (cidr) cidrs.push_back(*cidr);
              left.remove_prefix(comma == std::string_view::npos ? left.size() : comma + 1);
            }
            if (cidrs.size() > 2 || (cidrs.size() == 2 && cidrs[0].family() == cidrs[1].family())) good = false;
            if (!good)
              return {{"", node.line, "one CIDR, or an IPv4 and an IPv6 CIDR separated by a comma", node.shown()}};
            config.cluster_cidrs = std::move(cidrs);
            return {};
          },
          [](const Config& config) {
            std::string text;
            for (const auto& cidr : config.cluster_cidrs) text += (text.empty() ? "" : ",") + cidr.to_string();
            return text;
          }};
}

// CIDRs and the names that newer releases know (KEP-4004 era `primary`; `localhost` and `all` later).
Field node_port_addresses_field() {
  const auto cidrs = cidr_list_field(FIELD(node_port_addresses));
  return {[=](Config& config, const YamlNode& node) {
            YamlNode plain = node;
            bool primary = false;
            const auto scalar = [](const char* text, int line) {
              YamlNode item;
              item.kind = YamlNode::Kind::scalar;
              item.text = text;
              item.line = line;
              return item;
            };
            plain.items.clear();
            for (const auto& item : node.items) {
              if (item.text == "primary")
                primary = true;
              else if (item.text == "all")
                plain.items.insert(plain.items.end(), {scalar("0.0.0.0/0", item.line), scalar("::/0", item.line)});
              else if (item.text == "localhost")
                plain.items.insert(plain.items.end(), {scalar("127.0.0.0/8", item.line), scalar("::1/128", item.line)});
              else
                plain.items.push_back(item);
            }
            auto problems = cidrs.set(config, plain);
            for (auto& problem : problems) problem.expected = "a CIDR, primary, localhost or all";
            if (problems.empty()) config.node_port_addresses_primary = primary;
            return problems;
          },
          [=](const Config& config) {
            if (!config.node_port_addresses_primary) return cidrs.get(config);
            std::vector<std::string> texts{"primary"};
            for (const auto& cidr : config.node_port_addresses) texts.push_back(cidr.to_string());
            return json_list(texts);
          }};
}

template <class Access>
Field mark_mask_field(Access access) {
  return {[=](Config& config, const YamlNode& node) -> std::vector<Problem> {
            const bool hex = node.text.starts_with("0x");
            const char* begin = node.text.data() + (hex ? 2 : 0);
            const char* end = node.text.data() + node.text.size();
            std::uint32_t mask = 0;
            const auto [stop, ec] = std::from_chars(begin, end, mask, hex ? 16 : 10);
            // IPVS compares all 32 bits, so at least one has to be left to others; and more marks than this make no
            // sense.
            if (begin == end || ec != std::errc{} || stop != end || std::popcount(mask) > 24)
              return {{"", node.line, "a mask of at most 24 bits such as 0x307f, or 0x0", node.shown()}};
            access(config) = mask;
            return {};
          },
          [=](const Config& config) { return fmt::format("{:#x}", access(config)); }};
}

bool is_scheduler(std::string_view text) {
  // IP_VS_SCHEDNAME_MAXLEN 16, with the terminating NUL. It becomes part of a module's name.
  return text.size() < 16 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

bool is_link_name(std::string_view text) {
  // IFNAMSIZ 16; dev_valid_name().
  return text.size() < 16 && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) <= ' ' || c == '/' || c == 0x7f;
         });
}

bool any_text(std::string_view) { return true; }

// A Node's name is a DNS subdomain; here in any case and with white space around it, as kube-proxy takes it.
bool is_node_name(std::string_view text) {
  constexpr std::string_view space = " \t\r\n\v\f";
  text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
  text = text.substr(0, text.find_last_not_of(space) + 1);
  const auto alphanumeric = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return text.empty() ||
         (text.size() <= 253 && alphanumeric(text.front()) && alphanumeric(text.back()) &&
          std::all_of(text.begin(), text.end(), [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; }));
}

// "", "1000", "1000-2000" or "1000+500" (k8s.io/apimachinery/pkg/util/net, PortRange).
bool is_port_range(std::string_view text) {
  const auto separator = text.find_first_of("-+");
  const auto low = parse_integer(text.substr(0, separator)).value_or(-1);
  auto high = separator == std::string_view::npos ? low : parse_integer(text.substr(separator + 1)).value_or(-1);
  if (high < 0) return text.empty();
  if (separator != std::string_view::npos && text[separator] == '+') high += low;
  return text.empty() || (low >= 0 && low <= high && high <= 65535);
}

bool is_minor_version(std::string_view text) {
  const auto dot = text.find('.');
  return text.empty() || (dot != std::string_view::npos && parse_integer(text.substr(0, dot)).value_or(-1) >= 0 &&
                          parse_integer(text.substr(dot + 1)).value_or(-1) >= 0);
}

// sun_path in struct sockaddr_un holds 107 characters.
Field ctl_socket_field() {
  return scalar_field(
      FIELD(own.ctl_socket), "an absolute path of at most 107 characters, or none",
      [](std::string_view text) -> std::optional<std::string> {
        if (text.empty()) return OwnConfig().ctl_socket;
        if (text != "none" && (!text.starts_with('/') || text.size() > 107)) return {};
        return std::string(text);
      },
      [](const std::string& value) { return value; });
}

// For fields without effect: right type, default value, no storage.
Field ignored_field(OptionType type, std::string shown) {
  const auto accepts = [type](const YamlNode& node) {
    switch (type) {
      case OptionType::boolean: return parse_boolean(node.text).has_value();
      case OptionType::integer: return parse_integer(node.text).has_value();
      case OptionType::duration:
        return parse_duration(node.text).value_or(std::chrono::nanoseconds(-1)) >= std::chrono::nanoseconds(0);
      case OptionType::number: {
        double value = 0;
        const auto end = node.text.data() + node.text.size();
        const auto [stop, ec] = std::from_chars(node.text.data(), end, value);
        return ec == std::errc{} && stop == end;
      }
      default: return true;
    }
  };
  const std::string expected =
      type == OptionType::duration ? "a duration such as \"30s\"" : fmt::format("{}", to_string(type));
  return {[=](Config&, const YamlNode& node) -> std::vector<Problem> {
            if (accepts(node)) return {};
            return {{"", node.line, expected, node.shown()}};
          },
          [=](const Config&) { return shown; }};
}

// As ignored_field(), with a condition on the text.
Field ignored_text(std::string shown, std::string expected, bool (*accepts)(std::string_view)) {
  return {[=](Config&, const YamlNode& node) -> std::vector<Problem> {
            if (accepts(node.text)) return {};
            return {{"", node.line, expected, node.shown()}};
          },
          [=](const Config&) { return shown; }};
}

Field ignored_integer(std::string shown, std::int64_t min, std::int64_t max) {
  return {[=](Config&, const YamlNode& node) -> std::vector<Problem> {
            const auto value = parse_integer(node.text);
            if (value && *value >= min && *value <= max) return {};
            return {{"", node.line, fmt::format("an integer from {} to {}", min, max), node.shown()}};
          },
          [=](const Config&) { return shown; }};
}

Field feature_gates_field() {
  return {[](Config&, const YamlNode& node) {
            std::vector<Problem> problems;
            for (const auto& [gate, line, value] : node.members)
              if (value.kind != YamlNode::Kind::scalar || value.quoted || !parse_boolean(value.text))
                problems.push_back({"." + gate.substr(0, 64), line, "true or false", value.shown()});
            return problems;
          },
          [](const Config&) { return std::string("{}"); }};
}

Option ignored(std::string name, std::string flag, OptionType type, std::string shown, std::string meaning,
               Field field) {
  return {std::move(name), std::move(flag), type, std::move(shown), Use::ignored, std::move(meaning), std::move(field)};
}

Option ignored(std::string name, std::string flag, OptionType type, std::string shown, std::string meaning) {
  return {std::move(name), std::move(flag), type, shown, Use::ignored, std::move(meaning), ignored_field(type, shown)};
}

using T = OptionType;

void add_general(std::vector<Option>& table) {
  const auto honoured = Use::honoured;
  table.insert(
      table.end(),
      {{"apiVersion", "", T::text, "kubeproxy.config.k8s.io/v1alpha1", honoured, "required in a file",
        fixed_field({"kubeproxy.config.k8s.io/v1alpha1"}, "kubeproxy.config.k8s.io/v1alpha1",
                    "kubeproxy.config.k8s.io/v1alpha1")},
       {"kind", "", T::text, "KubeProxyConfiguration", honoured, "required in a file",
        fixed_field({"KubeProxyConfiguration"}, "KubeProxyConfiguration", "KubeProxyConfiguration")},
       {"mode", "--proxy-mode", T::text, "ipvs", honoured, "the only mode there is; \"\" means the same",
        fixed_field({"ipvs", ""}, "ipvs",
                    "ipvs or \"\" (there is no other mode here: set mode: ipvs, or keep kube-proxy on this node)")},
       {"bindAddress", "--bind-address", T::text, "0.0.0.0", honoured,
        "the node's own address, where the Node object's is not the right one; no socket is bound to it",
        bind_address_field()},
       {"healthzBindAddress", "--healthz-bind-address", T::text, "0.0.0.0:10256", honoured,
        "where /healthz and /livez are served; [::]:10256 if bindAddress is IPv6; none disables",
        socket_field(FIELD(healthz), Port{10256})},
       {"metricsBindAddress", "--metrics-bind-address", T::text, "127.0.0.1:10249", honoured,
        "where /metrics, /proxyMode and /configz are served; [::1]:10249 if bindAddress is IPv6; none disables",
        socket_field(FIELD(metrics), Port{10249})},
       {"bindAddressHardFail", "--bind-address-hard-fail", T::boolean, "false", honoured,
        "end the process where one of these two addresses cannot be bound",
        boolean_field(FIELD(bind_address_hard_fail))},
       {"hostnameOverride", "--hostname-override", T::text, "", honoured, "the Node's name, if it is not the host name",
        text_field(FIELD(hostname_override), "the name of a Node: letters, digits, - and .", is_node_name)},
       {"clientConnection.kubeconfig", "--kubeconfig", T::text, "", honoured,
        "how to reach the API server; \"\" means the Pod's service account",
        text_field(FIELD(kubeconfig), "a path", any_text)},
       {"detectLocalMode", "--detect-local-mode", T::text, "ClusterCIDR", honoured,
        "how traffic of this node's pods is told from other traffic",
        choice_field(
            FIELD(detect_local_mode),
            std::vector<Name<DetectLocalMode>>{{"ClusterCIDR", DetectLocalMode::cluster_cidr},
                                               {"NodeCIDR", DetectLocalMode::node_cidr},
                                               {"BridgeInterface", DetectLocalMode::bridge_interface},
                                               {"InterfaceNamePrefix", DetectLocalMode::interface_name_prefix}})},
       {"detectLocal.bridgeInterface", "--pod-bridge-interface", T::text, "", honoured,
        "for detectLocalMode BridgeInterface",
        text_field(FIELD(bridge_interface), "an interface name of at most 15 characters", is_link_name)},
       {"detectLocal.interfaceNamePrefix", "--pod-interface-name-prefix", T::text, "", honoured,
        "for detectLocalMode InterfaceNamePrefix",
        text_field(FIELD(interface_name_prefix), "the beginning of an interface name, at most 15 characters",
                   is_link_name)},
       {"clusterCIDR", "--cluster-cidr", T::text, "", honoured,
        "the pods' addresses: one CIDR, or one per family, comma-separated", cluster_cidr_field()},
       {"nodePortAddresses", "--nodeport-addresses", T::list, "[]", honoured,
        "which node addresses serve NodePorts: CIDRs, primary, localhost, all; empty means all",
        node_port_addresses_field()},
       {"oomScoreAdj", "--oom-score-adj", T::integer, "-999", honoured, "oom_score_adj of the process",
        integer_field(FIELD(oom_score_adj), -1000, 1000)},
       {"configSyncPeriod", "--config-sync-period", T::duration, "15m", Use::checked, "accepted; nothing is replayed",
        duration_field(FIELD(config_sync_period), milliseconds(900'000), milliseconds(1))}});
}

void add_ipvs(std::vector<Option>& table) {
  const auto honoured = Use::honoured;
  const seconds keep(0);
  table.insert(
      table.end(),
      {{"ipvs.syncPeriod", "--ipvs-sync-period", T::duration, "30s", Use::checked,
        "there is no periodic resync to set the time of",
        duration_field(FIELD(ipvs.sync_period), milliseconds(30'000), milliseconds(1))},
       {"ipvs.minSyncPeriod", "--ipvs-min-sync-period", T::duration, "0s", Use::checked,
        "accepted; changes are written as they come", duration_field(FIELD(ipvs.min_sync_period), milliseconds(0))},
       {"ipvs.scheduler", "--ipvs-scheduler", T::text, "", honoured, "the IPVS scheduler; \"\" means rr",
        text_field(FIELD(ipvs.scheduler), "the name of an IPVS scheduler such as rr", is_scheduler)},
       {"ipvs.excludeCIDRs", "--ipvs-exclude-cidrs", T::list, "[]", honoured,
        "virtual servers in these are never touched", cidr_list_field(FIELD(ipvs.exclude_cidrs))},
       {"ipvs.strictARP", "--ipvs-strict-arp", T::boolean, "false", honoured,
        "answer ARP for VIPs on their own link only", boolean_field(FIELD(ipvs.strict_arp))},
       {"ipvs.tcpTimeout", "--ipvs-tcp-timeout", T::duration, "0s", honoured,
        "idle TCP connections; 0 leaves the kernel's", duration_field(FIELD(ipvs.tcp_timeout), keep)},
       {"ipvs.tcpFinTimeout", "--ipvs-tcpfin-timeout", T::duration, "0s", honoured,
        "TCP connections after a FIN; 0 leaves the kernel's", duration_field(FIELD(ipvs.tcp_fin_timeout), keep)},
       {"ipvs.udpTimeout", "--ipvs-udp-timeout", T::duration, "0s", honoured, "idle UDP flows; 0 leaves the kernel's",
        duration_field(FIELD(ipvs.udp_timeout), keep)},
       {"iptables.masqueradeBit", "--iptables-masquerade-bit", T::integer, "14", honoured,
        "the bit of the packet mark that asks for masquerading", integer_field(FIELD(masquerade_bit), 0, 31)},
       {"iptables.masqueradeAll", "--masquerade-all", T::boolean, "false", honoured,
        "masquerade all traffic to Services", boolean_field(FIELD(masquerade_all))},
       {"iptables.syncPeriod", "--iptables-sync-period", T::duration, "30s", honoured,
        "twice this is how long a change may wait before /livez fails",
        duration_field(FIELD(iptables_sync_period), milliseconds(30'000), milliseconds(1))},
       {"iptables.minSyncPeriod", "--iptables-min-sync-period", T::duration, "1s", Use::checked,
        "of iptables mode only", duration_field(FIELD(iptables_min_sync_period), milliseconds(1'000))}});
}

void add_conntrack(std::vector<Option>& table) {
  const auto honoured = Use::honoured;
  const seconds keep(0);
  table.insert(
      table.end(),
      {{"conntrack.maxPerCore", "--conntrack-max-per-core", T::integer, "32768", honoured,
        "nf_conntrack_max per core; 0 leaves it", integer_field(FIELD(conntrack.max_per_core), 0, int32_max)},
       {"conntrack.min", "--conntrack-min", T::integer, "131072", honoured, "least nf_conntrack_max",
        integer_field(FIELD(conntrack.min), 0, int32_max)},
       {"conntrack.tcpEstablishedTimeout", "--conntrack-tcp-timeout-established", T::duration, "24h", honoured,
        "0 leaves the kernel's", duration_field(FIELD(conntrack.tcp_established_timeout), keep)},
       {"conntrack.tcpCloseWaitTimeout", "--conntrack-tcp-timeout-close-wait", T::duration, "1h", honoured,
        "0 leaves the kernel's", duration_field(FIELD(conntrack.tcp_close_wait_timeout), keep)},
       {"conntrack.tcpBeLiberal", "--conntrack-tcp-be-liberal", T::boolean, "false", honoured,
        "nf_conntrack_tcp_be_liberal", boolean_field(FIELD(conntrack.tcp_be_liberal))},
       {"conntrack.udpTimeout", "--conntrack-udp-timeout", T::duration, "0s", honoured, "0 leaves the kernel's",
        duration_field(FIELD(conntrack.udp_timeout), keep)},
       {"conntrack.udpStreamTimeout", "--conntrack-udp-timeout-stream", T::duration, "0s", honoured,
        "0 leaves the kernel's", duration_field(FIELD(conntrack.udp_stream_timeout), keep)},
       {"ipvsd.iptablesBackend", "", T::text, "auto", honoured,
        "auto, legacy or nft: which iptables the constant rules go to",
        choice_field(FIELD(own.iptables_backend), std::vector<Name<IptablesChoice>>{{"auto", IptablesChoice::automatic},
                                                                                    {"legacy", IptablesChoice::legacy},
                                                                                    {"nft", IptablesChoice::nft}})},
       {"ipvsd.rulesAuditPeriod", "", T::duration, "30s", honoured,
        "how often the constant rules are checked and repaired",
        duration_field(FIELD(own.rules_audit_period), seconds(30), seconds(1))},
       {"ipvsd.auditPeriod", "", T::duration, "5m", honoured, "how long one checking pass over all of IPVS takes",
        duration_field(FIELD(own.audit_period), seconds(300), seconds(1))},
       {"ipvsd.externalMarkMask", "", T::text, "0x307f", honoured,
        "bits of the packet mark that tell outside clients where externalTrafficPolicy is Local; nobody else may use "
        "them; 0x0: all clients share the local endpoints, as with kube-proxy",
        mark_mask_field(FIELD(own.external_mark_mask))},
       {"ipvsd.drainTimeout", "", T::duration, "0s", honoured,
        "an endpoint that left is removed after this although it has connections, which breaks them; 0: never",
        duration_field(FIELD(own.drain_timeout), keep)},
       {"ipvsd.serviceAddresses", "", T::text, "bind", honoured,
        "bind: each VIP is an address of kube-ipvs0; route: one local route makes all VIPs of a Service CIDR local, "
        "which costs the kernel nothing per VIP",
        choice_field(
            FIELD(own.service_addresses),
            std::vector<Name<ServiceAddresses>>{{"bind", ServiceAddresses::bind}, {"route", ServiceAddresses::route}})},
       {"ipvsd.serviceCIDRs", "", T::list, "[]", honoured,
        "for serviceAddresses route: the Service CIDRs; empty: those of the cluster's ServiceCIDR objects",
        cidr_list_field(FIELD(own.service_cidrs))},
       {"ipvsd.ctlSocket", "", T::text, "/run/kube-ipvsd/ctl.sock", honoured,
        "the unix socket on which kube-ipvsctl asks, for root alone; none: no socket", ctl_socket_field()}});
}

void add_ignored(std::vector<Option>& table) {
  const std::string json = "JSON is the only encoding here";
  const std::string logging = "see -v and --log-level";
  table.insert(
      table.end(),
      {ignored("enableProfiling", "--profiling", T::boolean, "false", "there is no Go profiler"),
       ignored("showHiddenMetricsForVersion", "--show-hidden-metrics-for-version", T::text, "",
               "there are no hidden metrics", ignored_text("", "a minor version such as 1.30", is_minor_version)),
       ignored("clientConnection.acceptContentTypes", "", T::text, "", json),
       ignored("clientConnection.contentType", "--kube-api-content-type", T::text,
               "application/vnd.kubernetes.protobuf", json),
       ignored("clientConnection.qps", "--kube-api-qps", T::number, "5", "three watches need no limit"),
       ignored("clientConnection.burst", "--kube-api-burst", T::integer, "10", "three watches need no limit",
               ignored_integer("10", 0, int32_max)),
       ignored("logging.format", "--logging-format", T::text, "text", logging,
               ignored_text("text", "text or json",
                            [](std::string_view text) { return text.empty() || text == "text" || text == "json"; })),
       ignored("logging.flushFrequency", "--log-flush-frequency", T::anything, "5s", logging),
       ignored("logging.verbosity", "", T::integer, "0", logging, ignored_integer("0", 0, int32_max)),
       ignored("logging.vmodule", "--vmodule", T::anything, "", logging),
       ignored("logging.options", "", T::anything, "", logging),
       ignored("featureGates", "--feature-gates", T::map, "{}", "there are no feature gates", feature_gates_field()),
       ignored("iptables.localhostNodePorts", "--iptables-localhost-nodeports", T::boolean, "true",
               "of iptables mode only"),
       ignored("iptables.snatNodeInternalIP", "", T::boolean, "false", "of iptables mode only"),
       ignored("portRange", "--proxy-port-range", T::text, "", "of the removed userspace mode",
               ignored_text("", "a range of ports such as 1000-2000", is_port_range)),
       ignored("nftables.masqueradeBit", "--nftables-masquerade-bit", T::integer, "14",
               "of nftables mode; see iptables.masqueradeBit", ignored_integer("14", 0, 31)),
       ignored("nftables.masqueradeAll", "", T::boolean, "false", "of nftables mode; see iptables.masqueradeAll"),
       ignored("nftables.syncPeriod", "--nftables-sync-period", T::duration, "30s", "of nftables mode"),
       ignored("nftables.minSyncPeriod", "--nftables-min-sync-period", T::duration, "1s", "of nftables mode"),
       ignored("winkernel.networkName", "", T::text, "", "of Windows"),
       ignored("winkernel.sourceVip", "", T::text, "", "of Windows"),
       ignored("winkernel.enableDSR", "", T::boolean, "false", "of Windows"),
       ignored("winkernel.rootHnsEndpointName", "", T::text, "", "of Windows"),
       ignored("winkernel.forwardHealthCheckVip", "", T::boolean, "false", "of Windows"),
       ignored("windowsRunAsService", "", T::boolean, "false", "of Windows")});
}

#undef FIELD

}  // namespace

std::string_view to_string(OptionType type) {
  switch (type) {
    case OptionType::boolean: return "true or false";
    case OptionType::integer: return "an integer";
    case OptionType::number: return "a number";
    case OptionType::text: return "text";
    case OptionType::duration: return "a duration";
    case OptionType::list: return "a list";
    case OptionType::map: return "a map";
    case OptionType::anything: return "anything";
  }
  return "unknown";
}

const std::vector<Option>& options() {
  static const auto table = [] {
    std::vector<Option> all;
    add_general(all);
    add_ipvs(all);
    add_conntrack(all);
    add_ignored(all);
    return all;
  }();
  return table;
}

const Option* find_option(std::string_view name) {
  for (const auto& option : options())
    if (option.name == name) return &option;
  return nullptr;
}

Config default_config() {
  Config config;
  config.healthz = SocketAddress{IpAddress::any(Family::ipv4), Port{10256}};
  config.metrics = parse_socket("127.0.0.1:10249", {});
  return config;
}

}  // namespace ipvsd
