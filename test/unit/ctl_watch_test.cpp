#include <catch2/catch.hpp>

#include "ctl/watch.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

const VirtualServerKey web{ip("10.96.0.1"), Protocol::tcp, Port{80}, 0};

Names names() {
  Names result;
  Service service;
  service.key = {"default", "web"};
  service.cluster_ips = {ip("10.96.0.1")};
  service.ports = {{"http", Protocol::tcp, Port{80}, {}}};
  result.add(service);
  return result;
}

std::vector<std::string> lines(const std::vector<Change>& changes) {
  std::vector<std::string> result;
  for (const auto& change : changes) result.push_back(line_of(change, "T", false));
  return result;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("virtual servers that come, change and go") {
  VirtualServer before{web, "rr", 0, 0, 32};
  auto after = before;
  after.scheduler = "sh";
  after.flags = flag_persistent;
  after.timeout = 60;
  CHECK(lines(changes(WatchedServers{}, {{web, before}}, names())) ==
        Lines{"T + virtual server 10.96.0.1:80/TCP rr  default/web:http\n"});
  CHECK(lines(changes({{web, before}}, {{web, after}}, names())) ==
        Lines{"T ~ virtual server 10.96.0.1:80/TCP rr -> sh, persistent 60 s  default/web:http\n"});
  CHECK(lines(changes({{web, before}}, WatchedServers{}, {})) == Lines{"T - virtual server 10.96.0.1:80/TCP\n"});
  CHECK(changes({{web, before}}, {{web, before}}, names()).empty());
}

TEST_CASE("destinations and set entries") {
  const DestinationKey one{ip("10.1.0.1"), Port{8080}};
  const DestinationKey two{ip("10.1.0.2"), Port{8080}};
  Destination full{one, ForwardMethod::masquerade, 1, 0, 0};
  auto drained = full;
  drained.weight = 0;
  CHECK(lines(changes(web, {{one, full}}, {{one, drained}, {two, {two}}}, names())) ==
        Lines{"T ~ destination 10.96.0.1:80/TCP -> 10.1.0.1:8080 weight 1 -> weight 0  default/web:http\n",
              "T + destination 10.96.0.1:80/TCP -> 10.1.0.2:8080 weight 1  default/web:http\n"});
  const IpSet set{SetKind::cluster_ip, Family::ipv4};
  const std::vector before{*parse_element(set, "10.96.0.1,tcp:80")};
  const std::vector after{*parse_element(set, "10.96.0.2,tcp:80")};
  CHECK(lines(changes(before, after, names())) ==
        Lines{"T - set entry KUBE-CLUSTER-IP 10.96.0.1,tcp:80  default/web:http\n",
              "T + set entry KUBE-CLUSTER-IP 10.96.0.2,tcp:80\n"});
}

TEST_CASE("addresses, and JSON") {
  const auto change = change_of({false, {"kube-ipvs0", ip("10.96.0.1"), 32}}, names());
  CHECK(line_of(change, "T", true) == "T \033[31m- address 10.96.0.1 on kube-ipvs0\033[0m  default/web\n");
  CHECK(json_of(change, "T") ==
        "{\"time\":\"T\",\"change\":\"removed\",\"kind\":\"address\",\"object\":\"10.96.0.1 on kube-ipvs0\","
        "\"name\":\"default/web\"}\n");
}
