// The rules by which fields of the API become fields of the model, case by case.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include "daemon/source/decode.hpp"
#include "daemon/source/rfc3339.hpp"

using namespace ipvsd;

namespace {

constexpr auto metadata = R"("metadata":{"name":"web","namespace":"default"})";

std::string service_json(const std::string& spec, const std::string& more = "") {
  return fmt::format(R"({{{},"spec":{{{}}}{}}})", metadata, spec, more);
}
std::string slice_json(const std::string& fields, const std::string& type = "IPv4") {
  return fmt::format(R"({{{},"addressType":"{}",{}}})", metadata, type, fields);
}

template <class T>
T decoded(Kind kind, const std::string& json, std::size_t warnings = 0) {
  Decoder decoder;
  const auto object = decoder.object(kind, json);
  INFO(json);
  if (!object) FAIL(object.error().error.message());
  CHECK(object->warnings.size() == warnings);
  return std::get<T>(object->object);
}
Service service(const std::string& spec, const std::string& more = "", std::size_t warnings = 0) {
  return decoded<Service>(Kind::service, service_json(spec, more), warnings);
}
EndpointSlice slice(const std::string& fields, std::size_t warnings = 0) {
  return decoded<EndpointSlice>(Kind::endpoint_slice, slice_json(fields), warnings);
}

template <class T>
std::string join(const std::vector<T>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : " ") + value.to_string();
  return text;
}

}  // namespace

TEST_CASE("cluster IPs follow ipFamilies, and the single field decides whether there are any") {
  const auto [spec, expected, warnings] = GENERATE(table<std::string, std::string, std::size_t>({
      {R"("clusterIP":"10.96.0.1")", "10.96.0.1", 0},
      {R"("clusterIP":"fd00::1")", "fd00::1", 0},
      {R"("clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"])", "10.96.0.1", 0},
      {R"("clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"],"ipFamilies":["IPv4","IPv6"])",
       "10.96.0.1 fd00::1", 0},
      {R"("clusterIP":"fd00::1","clusterIPs":["fd00::1","10.96.0.1"],"ipFamilies":["IPv6","IPv4"])",
       "fd00::1 10.96.0.1", 0},
      {R"("clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"ipFamilies":["IPv4","IPv6"])", "10.96.0.1", 0},
      {R"("clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","10.96.0.2"],"ipFamilies":["IPv4","IPv4"])", "10.96.0.1",
       0},
      {R"("clusterIP":"10.96.0.1","clusterIPs":["fd00::1"],"ipFamilies":["IPv4"])", "", 1},
      {R"("clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"ipFamilies":["IPv9"])", "", 0},
      {R"("clusterIP":"None","clusterIPs":["10.96.0.1"],"ipFamilies":["IPv4"])", "", 0},
      {R"("clusterIP":"","clusterIPs":["10.96.0.1"],"ipFamilies":["IPv4"])", "", 0},
      {R"("clusterIPs":["10.96.0.1"],"ipFamilies":["IPv4"])", "", 0},
      {R"("clusterIP":null)", "", 0},
      {R"("clusterIP":"010.096.000.001")", "10.96.0.1", 0},
      {R"("clusterIP":"nonsense")", "", 1},
      {R"("clusterIP":"127.0.0.1")", "", 1},
      {R"("clusterIP":"0.0.0.0")", "", 1},
      {R"("type":"ExternalName","clusterIP":"10.96.0.1")", "", 0},
  }));
  INFO(spec);
  CHECK(join(service(spec, "", warnings).cluster_ips) == expected);
}

TEST_CASE("lists of addresses drop what they cannot use") {
  const auto found = service(
      R"("externalIPs":[" 198.51.100.1 ","","  ","x","198.51.100.1","2001:db8::1","198.51.100.001"],
         "loadBalancerSourceRanges":["10.0.0.0/8"," 10.1.2.3/8 ","","10.0.0.1","fd00::/8"])",
      R"(,"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"},{"ip":"203.0.113.2","ipMode":"VIP"},
         {"ip":"203.0.113.3","ipMode":"Proxy"},{"hostname":"lb.example.com"},{"ip":"203.0.113.1"},{"ip":""},{"ip":"?"}]}})",
      3);
  CHECK(join(found.external_ips) == "198.51.100.1 2001:db8::1");
  CHECK(join(found.source_ranges) == "10.0.0.0/8 fd00::/8");
  CHECK(join(found.load_balancer_ips) == "203.0.113.1 203.0.113.2");

  Decoder decoder;
  const auto object = decoder.object(Kind::service, service_json(R"("externalIPs":["198.51.100.1","x"])"));
  REQUIRE(object);
  CHECK(object->warnings == std::vector<std::string>{"spec.externalIPs[1]: \"x\" is not an IP address"});
}

TEST_CASE("affinity has a timeout even where its configuration is missing") {
  using std::chrono::seconds;
  CHECK(service(R"("sessionAffinity":"ClientIP")").affinity == seconds(10800));
  CHECK(service(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":null)").affinity == seconds(10800));
  CHECK(service(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{}})").affinity == seconds(10800));
  CHECK(
      service(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}})").affinity ==
      seconds(60));
  CHECK_FALSE(
      service(R"("sessionAffinity":"None","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}})").affinity);
  CHECK_FALSE(service("").affinity);
}

TEST_CASE("external policy Local counts only where traffic comes from outside") {
  const auto [spec, policy, port] = GENERATE(table<std::string, TrafficPolicy, int>({
      {R"("type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":30999)", TrafficPolicy::local,
       30999},
      {R"("type":"LoadBalancer","externalTrafficPolicy":"Cluster","healthCheckNodePort":30999)", TrafficPolicy::cluster,
       0},
      {R"("type":"NodePort","externalTrafficPolicy":"Local","healthCheckNodePort":30999)", TrafficPolicy::local, 0},
      {R"("type":"ClusterIP","externalTrafficPolicy":"Local")", TrafficPolicy::cluster, 0},
      {R"("externalTrafficPolicy":"Local","externalIPs":["198.51.100.1"])", TrafficPolicy::local, 0},
      {R"("type":"ExternalName","externalTrafficPolicy":"Local","externalIPs":["198.51.100.1"])",
       TrafficPolicy::cluster, 0},
      {R"("type":"LoadBalancer")", TrafficPolicy::cluster, 0},
  }));
  INFO(spec);
  CHECK(service(spec).external_policy == policy);
  CHECK(service(spec).health_check_node_port.number == port);
  CHECK(service(R"("internalTrafficPolicy":"Local")").internal_policy == TrafficPolicy::local);
  CHECK(service("").internal_policy == TrafficPolicy::cluster);
}

TEST_CASE("ports of a Service") {
  CHECK(service(R"("ports":[{"port":80},{"name":"dns","protocol":"UDP","port":53,"nodePort":30053,"targetPort":"x"}])")
            .ports == std::vector<ServicePort>{{"", Protocol::tcp, Port{80}, Port{0}},
                                               {"dns", Protocol::udp, Port{53}, Port{30053}}});
  CHECK(service(R"("ports":null)").ports.empty());
}

TEST_CASE("endpoints: conditions, addresses and hints") {
  const auto found = slice(R"("ports":[{"name":"","port":80},{"port":81},{"name":"x"},{"name":"y","port":0},
      {"name":"z","port":53,"protocol":"UDP","appProtocol":"dns"}],
    "endpoints":[
      {"addresses":["10.0.0.1","10.0.0.2"]},
      {"addresses":["10.0.0.3"],"conditions":{"ready":false},"targetRef":{"kind":"Pod","name":"web-1"}},
      {"addresses":["10.0.0.4"],"conditions":{"ready":false,"serving":true,"terminating":true},"nodeName":"a",
       "targetRef":{"kind":"VirtualMachine","name":"v"}},
      {"addresses":["10.0.0.5"],"targetRef":{"kind":"Pod","name":"web-22"},"conditions":{"ready":null,"serving":null,"terminating":null},
       "hints":{"forZones":[{"name":"z1"},{"name":"z2"}],"forNodes":[{"name":"n1"}]}},
      {"addresses":[]}, {"addresses":["fd00::1"]}, {"addresses":["?"]}, {}])",
                           2);
  CHECK(found.ports == std::vector<EndpointPort>{{"", Protocol::tcp, Port{80}}, {"z", Protocol::udp, Port{53}}});
  REQUIRE(found.endpoints.size() == 4);
  const auto conditions = [&](std::size_t i) {
    const auto& endpoint = found.endpoints[i];
    return fmt::format("{} {} {} {}", endpoint.address.to_string(), endpoint.ready, endpoint.serving,
                       endpoint.terminating);
  };
  CHECK(conditions(0) == "10.0.0.1 true true false");
  CHECK(conditions(1) == "10.0.0.3 false false false");
  CHECK(conditions(2) == "10.0.0.4 false true true");
  CHECK(conditions(3) == "10.0.0.5 true true false");
  CHECK(*found.endpoints[2].node_name == "a");
  std::vector<std::string_view> pods;
  for (const auto& endpoint : found.endpoints) pods.push_back(found.pod_of(endpoint));
  CHECK(pods == std::vector<std::string_view>{"", "web-1", "", "web-22"});
  CHECK(*found.endpoints[3].for_zones == std::vector<std::string>{"z1", "z2"});
  CHECK(*found.endpoints[3].for_nodes == std::vector<std::string>{"n1"});
}

TEST_CASE("a slice of names has no endpoints, and says so") {
  const auto json = slice_json(R"("endpoints":[{"addresses":["x.example.com"]}])", "FQDN");
  CHECK(decoded<EndpointSlice>(Kind::endpoint_slice, json, 1).endpoints.empty());
}

TEST_CASE("labels: owner, and objects of another proxy") {
  const auto with = [](const std::string& labels) {
    return decoded<EndpointSlice>(Kind::endpoint_slice, R"({"metadata":{"name":"w","namespace":"d","labels":{)" +
                                                            labels + R"(}},"addressType":"IPv6"})");
  };
  CHECK(with(R"("kubernetes.io/service-name":"web")").service == "web");
  CHECK(with(R"("kubernetes.io/service-name":"web")").family == Family::ipv6);
  CHECK_FALSE(with(R"("kubernetes.io/service-name":"web")").ignored);
  CHECK(with("").service.empty());
  CHECK(with(R"("service.kubernetes.io/headless":"")").ignored);
  CHECK(with(R"("service.kubernetes.io/service-proxy-name":null)").ignored);
}

TEST_CASE("a Node: order of addresses, and when it is on its way out") {
  const auto node = [](const std::string& more, const std::string& spec) {
    return decoded<Node>(Kind::node, fmt::format(R"({{"metadata":{{"name":"n"{}}},"spec":{{{}}},"status":{{"addresses":[
      {{"type":"ExternalIP","address":"203.0.113.9"}},{{"type":"Hostname","address":"n"}},
      {{"type":"InternalIP","address":"10.0.0.9"}},{{"type":"InternalIP","address":"10.0.0.9"}}]}}}})",
                                                 more, spec));
  };
  CHECK(join(node("", "").addresses) == "10.0.0.9 203.0.113.9");
  CHECK(node("", "").eligible);
  CHECK(node("", R"("taints":[{"key":"other"}])").eligible);
  CHECK_FALSE(node("", R"("taints":[{"key":"other"},{"key":"ToBeDeletedByClusterAutoscaler"}])").eligible);
  CHECK_FALSE(node(R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")", "").eligible);
  CHECK(node(R"(,"labels":{"topology.kubernetes.io/zone":"z"})", R"("podCIDRs":["10.1.0.0/24"])").zone == "z");
}

TEST_CASE("objects that cannot be read name the field and the object") {
  const auto [kind, json, path, text] = GENERATE(table<Kind, std::string, std::string, std::string>({
      {Kind::service, service_json(R"("ports":[{"port":80},{"port":"http"}])"), "spec.ports[1].port",
       R"(Service default/web: spec.ports[1].port: expected an integer from 1 to 65535, got "http")"},
      {Kind::service, service_json(R"("ports":[{}])"), "spec.ports[0].port",
       "Service default/web: spec.ports[0].port: expected an integer from 1 to 65535, got nothing"},
      {Kind::service, service_json(R"("ports":[{"port":0}])"), "spec.ports[0].port", "got 0"},
      {Kind::service, service_json(R"("ports":[{"port":65536}])"), "spec.ports[0].port", "got 65536"},
      {Kind::service, service_json(R"("ports":[{"port":80.5}])"), "spec.ports[0].port", "got 80.5"},
      {Kind::service, service_json(R"("ports":[{"port":80,"nodePort":-1}])"), "spec.ports[0].nodePort", "got -1"},
      {Kind::service, service_json(R"("ports":[{"port":80,"protocol":"ICMP"}])"), "spec.ports[0].protocol",
       "expected TCP, UDP or SCTP, got \"ICMP\""},
      {Kind::service, service_json(R"("ports":{})"), "spec.ports", "expected a list, got an object"},
      {Kind::service, service_json(R"("ports":[80])"), "spec.ports[0]", "expected an object, got 80"},
      {Kind::service, service_json(R"("type":"Magic")"), "spec.type", "got \"Magic\""},
      {Kind::service, service_json(R"("clusterIP":7)"), "spec.clusterIP", "expected a string, got 7"},
      {Kind::service,
       service_json(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":0}})"),
       "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "expected an integer from 1 to 86400, got 0"},
      {Kind::service, fmt::format(R"({{{},"spec":[]}})", metadata), "spec", "expected an object, got a list"},
      {Kind::service, R"({"metadata":{"name":"a b","namespace":"default"}})", "metadata.name", "expected a DNS name"},
      {Kind::service, R"({"metadata":{"name":"a"}})", "metadata.namespace", "expected a DNS name, got nothing"},
      {Kind::service, R"({"kind":"Pod",)" + std::string(metadata) + "}", "kind", "expected Service, got \"Pod\""},
      {Kind::service, R"({"apiVersion":"v2",)" + std::string(metadata) + "}", "apiVersion", "expected v1, got \"v2\""},
      {Kind::service, fmt::format(R"({{"metadata":{{"name":"{}","namespace":"d"}}}})", std::string(254, 'a')),
       "metadata.name", "expected at most 253 characters, got 254"},
      {Kind::service, "[]", "", "expected an object, got a list"},
      {Kind::service, "{", "", "not valid JSON"},
      {Kind::service, "", "", "not valid JSON"},
      {Kind::service, "{\"a\":\"\xff\"}", "", "not valid JSON"},
      {Kind::endpoint_slice, slice_json(R"("endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":"yes"}}])"),
       "endpoints[0].conditions.ready", "expected true or false, got \"yes\""},
      {Kind::endpoint_slice, slice_json(R"("endpoints":[{"addresses":"10.0.0.1"}])"), "endpoints[0].addresses",
       "expected a list"},
      {Kind::endpoint_slice, slice_json(R"("ports":[{"name":"x","port":70000}])"), "ports[0].port", "got 70000"},
      {Kind::endpoint_slice, fmt::format("{{{}}}", metadata), "addressType",
       "expected IPv4, IPv6 or FQDN, got nothing"},
      {Kind::node, R"({"metadata":{"name":"n"},"spec":{"taints":"x"}})", "spec.taints",
       "Node n: spec.taints: expected a list"},
  }));
  Decoder decoder;
  const auto object = decoder.object(kind, json);
  INFO(json);
  REQUIRE_FALSE(object);
  CHECK(object.error().path == path);
  CHECK(object.error().error.code == Errc::malformed);
  CHECK_THAT(object.error().error.context, Catch::Contains(text));
  CHECK(object.error().key.name == (json.find("\"name\":\"web\"") != std::string::npos ? "web"
                                    : kind == Kind::node                               ? "n"
                                                                                       : object.error().key.name));
}

TEST_CASE("lists are bounded, and so are warnings") {
  const auto repeat = [](std::size_t count, const std::string& item) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += (i > 0 ? "," : "") + item;
    return "[" + text + "]";
  };
  Decoder decoder;
  const auto endpoints = [&](std::size_t count) {
    return decoder.object(Kind::endpoint_slice,
                          slice_json("\"endpoints\":" + repeat(count, R"({"addresses":["10.0.0.1"]})")));
  };
  CHECK(endpoints(10000));
  CHECK_FALSE(endpoints(10001));
  const auto ports = [&](std::size_t count) {
    return decoder.object(Kind::service, service_json("\"ports\":" + repeat(count, R"({"port":80})")));
  };
  CHECK(ports(1000));
  CHECK_FALSE(ports(1001));
  const auto noisy = decoder.object(Kind::service, service_json("\"externalIPs\":" + repeat(5000, "\"x\"")));
  REQUIRE(noisy);
  CHECK(noisy->warnings.size() == 21);
  CHECK(noisy->warnings.back() == "and 4980 more");
}

TEST_CASE("watch frames") {
  Decoder decoder;
  const auto frame = [&](const std::string& line) { return decoder.watch_frame(Kind::service, line); };
  const auto deleted =
      frame(R"({"type":"DELETED","object":{"metadata":{"name":"a","namespace":"b","resourceVersion":"9"},"spec":7}})");
  REQUIRE(deleted);
  CHECK(deleted->type == WatchFrame::Type::deleted);
  CHECK(deleted->key == ObjectKey{"b", "a"});
  CHECK(deleted->resource_version == "9");
  const auto bookmark = frame(
      R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"12","annotations":{"k8s.io/initial-events-end":"true"}}}})");
  REQUIRE(bookmark);
  CHECK(bookmark->initial_events_end);
  CHECK(bookmark->resource_version == "12");
  const auto error =
      frame(R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}})");
  REQUIRE(error);
  CHECK(error->status_code == 410);
  CHECK(error->status_message == "Expired: too old");
  for (const auto* bad :
       {"", "{}", "[]", "null", R"({"type":"ADDED"})", R"({"type":"MAYBE","object":{}})", R"({"type":7,"object":{}})",
        R"({"type":"ADDED","object":{})", R"({"type":"ADDED","object":null})"})
    CHECK_FALSE(frame(bad));
  REQUIRE(frame(R"({"type":"ADDED","object":[]})"));
  CHECK_FALSE(*frame(R"({"type":"ADDED","object":[]})")->object);
}

TEST_CASE("what a server says of an error") {
  Decoder decoder;
  CHECK(decoder.status_text(R"({"kind":"Status","code":403,"reason":"Forbidden","message":"no"})") ==
        "Forbidden: no (403)");
  CHECK(decoder.status_text(R"({"kind":"Status","code":401,"reason":"Unauthorized"})") == "Unauthorized (401)");
  CHECK(decoder.status_text("<html>\nBad Gateway") == "<html> Bad Gateway");
  CHECK(decoder.status_text(std::string(1000, 'x')).size() == 200);
  CHECK(decoder.status_text("").empty());
}

TEST_CASE("times of the API") {
  const auto [text, expected] = GENERATE(table<std::string, std::int64_t>({
      {"1970-01-01T00:00:00Z", 0},
      {"2026-11-20T10:12:33Z", 1795169553},
      {"2026-11-20T10:12:33.123456789Z", 1795169553},
      {"2026-11-20T12:12:33+02:00", 1795169553},
      {"2026-11-20T05:12:33-05:00", 1795169553},
      {"2024-02-29T00:00:00Z", 1709164800},
  }));
  CHECK(parse_rfc3339(text) == std::chrono::sys_seconds(std::chrono::seconds(expected)));
  for (const auto* bad :
       {"", "now", "2026-11-20", "2026-11-20T10:12:33", "2026-13-20T10:12:33Z", "2025-02-29T00:00:00Z",
        "2026-11-20T10:12:33Zx", "2026-11-20T25:12:33Z", "+026-11-20T10:12:33Z", "2026-11-20T10:12:33+2:00"})
    CHECK_FALSE(parse_rfc3339(bad));
  CHECK(service("", R"(,"x":1)").created == std::chrono::sys_seconds{});
}

TEST_CASE("a slice keeps when its change began, and the first address of a wrong family") {
  Decoder decoder;
  const auto decoded = decoder.object(Kind::endpoint_slice, R"({"metadata":{"name":"web-4","namespace":"default",
    "annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2024-05-01T10:00:00.123456789Z"}},
    "addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]},{"addresses":["fd00::1"]},{"addresses":["fd00::2"]}]})");
  REQUIRE(decoded);
  const auto& slice = std::get<EndpointSlice>(decoded->object);
  CHECK(slice.triggered->time_since_epoch() == std::chrono::nanoseconds(1714557600123456789));
  REQUIRE(slice.wrong_family);
  CHECK(slice.wrong_family->to_string() == "fd00::1");
  CHECK(slice.endpoints.size() == 1);
  const auto odd = decoder.object(Kind::endpoint_slice, R"({"metadata":{"name":"web-4","namespace":"default",
    "annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"yesterday"}},"addressType":"IPv4"})");
  REQUIRE(odd);
  CHECK_FALSE(std::get<EndpointSlice>(odd->object).triggered);
  CHECK_FALSE(parse_rfc3339_nanos("1969-12-31T23:59:59Z"));
  CHECK_FALSE(parse_rfc3339_nanos("2262-01-01T00:00:00Z"));
  CHECK(parse_rfc3339_nanos("1970-01-01T01:00:00.5+01:00")->time_since_epoch() == std::chrono::milliseconds(500));
}

TEST_CASE("what is quoted of an object, or of what a server says, is no longer than a line") {
  const std::string huge(1U << 20, 'x');
  const auto text = fmt::format("\"{}\"", huge);
  Decoder decoder;
  const auto check_line = [](const std::string& line) {
    INFO(line.substr(0, 200));
    CHECK(line.size() <= 1024);
    CHECK(line.find('\n') == std::string::npos);
  };
  const auto check_object = [&](Kind kind, const std::string& json) {
    const auto object = decoder.object(kind, json);
    if (!object) return check_line(object.error().error.message());
    for (const auto& warning : object->warnings) check_line(warning);
  };
  for (const auto* spec :
       {R"("type":@)", R"("clusterIP":@)", R"("clusterIP":"10.0.0.1","ipFamilies":["IPv4"],"clusterIPs":[@])",
        R"("externalIPs":[@])", R"("loadBalancerSourceRanges":[@])", R"("sessionAffinity":@)",
        R"("sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":@}})",
        R"("internalTrafficPolicy":@)", R"("healthCheckNodePort":@)", R"("ports":@)", R"("ports":[{"port":@}])",
        R"("ports":[{"port":80,"name":@}])", R"("ports":[{"port":80,"protocol":@}])"}) {
    auto json = service_json(spec);
    check_object(Kind::service, json.replace(json.find('@'), 1, text));
  }
  for (const auto* fields : {R"("ports":[{"name":@}])", R"("endpoints":@)", R"("endpoints":[{"addresses":[@]}])",
                             R"("endpoints":[{"addresses":["10.0.0.1"],"nodeName":@}])",
                             R"("endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":@}}])",
                             R"("endpoints":[{"addresses":["10.0.0.1"],"hints":{"forZones":[{"name":@}]}}])",
                             R"("endpoints":[{"addresses":["10.0.0.1"],"targetRef":{"kind":"Pod","name":@}}])"}) {
    auto json = slice_json(fields);
    check_object(Kind::endpoint_slice, json.replace(json.find('@'), 1, text));
  }
  check_object(Kind::endpoint_slice, slice_json(R"("ports":[])", huge));
  for (const auto* json : {R"({"metadata":{"name":@}})", R"({"kind":@,"metadata":{"name":"a"}})",
                           R"({"metadata":{"name":"a","namespace":@}})"}) {
    std::string whole = json;
    check_object(Kind::service, whole.replace(whole.find('@'), 1, text));
  }
  for (const auto* json :
       {R"({"kind":"Status","reason":@,"message":"m","code":500})", R"({"kind":"Status","reason":"r","message":@})",
        R"({"kind":"Status","message":"line\nline"})", R"({"kind":@})", "@"}) {
    std::string whole = json;
    if (const auto at = whole.find('@'); at != std::string::npos) whole.replace(at, 1, text);
    check_line(decoder.status_text(whole));
    const auto frame = decoder.watch_frame(Kind::service, fmt::format(R"({{"type":"ERROR","object":{}}})", whole));
    check_line(frame ? frame->status_message : frame.error().message());
  }
}

TEST_CASE("lists within an object have limits, and what is over says so") {
  const auto many = [](std::size_t count, const std::string& item) {
    std::string list = item;
    for (std::size_t i = 1; i < count; ++i) list.append(",").append(item);
    return "[" + list + "]";
  };
  const auto refusal = [](Kind kind, const std::string& json) {
    Decoder decoder;
    const auto object = decoder.object(kind, json);
    return object ? "accepted" : object.error().error.message();
  };
  CHECK_THAT(refusal(Kind::service, service_json("\"ports\":" + many(1001, R"({"port":80})"))),
             Catch::Contains("spec.ports: expected at most 1000 elements, got 1001"));
  CHECK_THAT(refusal(Kind::service, service_json("\"externalIPs\":" + many(10001, R"("10.0.0.1")"))),
             Catch::Contains("spec.externalIPs: expected at most 10000 elements, got 10001"));
  CHECK_THAT(refusal(Kind::endpoint_slice, slice_json("\"ports\":" + many(1001, R"({"name":"","port":80})"))),
             Catch::Contains("ports: expected at most 1000 elements, got 1001"));
  CHECK_THAT(refusal(Kind::endpoint_slice, slice_json("\"endpoints\":" + many(10001, R"({"addresses":["10.0.0.1"]})"))),
             Catch::Contains("endpoints: expected at most 10000 elements, got 10001"));
  CHECK_THAT(
      refusal(Kind::service, fmt::format(R"({{"metadata":{{"namespace":"a","name":"{}"}}}})", std::string(254, 'a'))),
      Catch::Contains("metadata.name: expected at most 253 characters, got 254"));
}
