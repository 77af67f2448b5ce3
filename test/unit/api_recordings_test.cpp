// Recordings of a real API server: served to the reflector byte for byte, and compared with what the stand-in
// says.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <sstream>

#include "test/unit/api_support.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

const std::filesystem::path recordings = std::filesystem::path(SHARED_DIR) / "apiserver-recordings";

bool absent() {
  if (std::filesystem::exists(recordings)) return false;
  WARN("skipped: no " << recordings.string());
  return true;
}

std::string read(const std::string& name) {
  std::ifstream file(recordings / name, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A whole answer as it was on the wire, but for the length and the chunks' borders, which were not recorded.
std::string wire(const std::string& name, const std::string& extension, bool ends) {
  const std::string body = read(name + extension);
  std::istringstream head(read(name + ".headers"));
  std::string answer;
  for (std::string line; std::getline(head, line);) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty() && line.rfind("Content-Length:", 0) != 0 && line.rfind("Transfer-Encoding:", 0) != 0)
      answer += line + "\r\n";
  }
  answer += "Transfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += 1000) {
    const auto piece = body.substr(at, 1000);
    answer += fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
  }
  return answer + (ends ? "0\r\n\r\n" : "");
}

std::vector<Json> events_of(const std::string& ndjson) {
  std::vector<Json> events;
  std::istringstream lines(ndjson);
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) events.push_back(Json::parse(line));
  return events;
}

// "ADDED churn", "BOOKMARK "
std::vector<std::string> steps_of(const std::vector<Json>& events) {
  std::vector<std::string> steps;
  for (const auto& event : events) {
    const std::string step =
        event.at("type").get<std::string>() + " " + event.at("object").at("metadata").value("name", "");
    // How many bookmarks there are is a matter of time.
    if (steps.empty() || step != steps.back() || event.at("type") != "BOOKMARK") steps.push_back(step);
  }
  return steps;
}

// All paths of a document with the types of their values, without what a stand-in need not have: managed
// fields and annotations.
void shape_of(const Json& value, const std::string& path, std::set<std::string>& shape) {
  if (path.find(".managedFields") != std::string::npos || path.find(".annotations") != std::string::npos) return;
  shape.insert(path + ":" + value.type_name());
  if (value.is_object())
    for (const auto& [key, member] : value.items()) shape_of(member, path + "." + key, shape);
  if (value.is_array())
    for (const auto& member : value) shape_of(member, path + "[]", shape);
}
std::set<std::string> shape_of(const Json& value) {
  std::set<std::string> shape;
  shape_of(value, "", shape);
  return shape;
}

struct HttpAnswer {
  int status = 0;
  std::string body;
};

HttpAnswer ask(const ApiServer& server, const std::string& target, const std::string& token = "") {
  auto access = server.access();
  if (!token.empty()) access.token = token;
  ApiConnection connection(access);
  HttpAnswer all;
  const auto answer = connection.get(target, 10s, [&all](std::string_view piece) {
    all.body += piece;
    return true;
  });
  REQUIRE(answer);
  all.status = answer->status;
  all.body += answer->body;
  return all;
}

// A stand-in with the recorded objects in it.
void load(ApiServer& server) {
  for (const auto* name : {"services-list-plain.json", "node-list-field-selector.json"})
    REQUIRE(server.apply(Json::parse(read(name))));
  for (const auto* page : {"1", "2", "3", "4"})
    REQUIRE(server.apply(Json::parse(read(std::string("endpointslices-list-page") + page + ".json"))));
}

std::size_t items_in(const std::string& name) { return Json::parse(read(name)).at("items").size(); }

}  // namespace

TEST_CASE("recorded watch lists become one replacement and the changes after it", "[shared]") {
  if (absent()) return;
  const auto name = GENERATE(as<std::string>{}, "services", "endpointslices");
  const auto resource = name == "services" ? watched_services() : watched_endpoint_slices();
  RawServer server([&](const RawServer::Peer& peer, const std::string&) {
    peer.send(wire(name + "-watchlist", ".ndjson", false));
    peer.wait_for_close();
  });
  std::vector<std::string> expected{fmt::format("ReplaceBegin {}", to_string(resource.kind))};
  for (const auto& event : events_of(read(name + "-watchlist.ndjson"))) {
    const auto& metadata = event["object"]["metadata"];
    const auto key = metadata.value("namespace", "") + "/" + metadata.value("name", "");
    if (event["type"] == "BOOKMARK" && metadata.contains("annotations"))
      expected.push_back(fmt::format("ReplaceEnd {}", to_string(resource.kind)));
    if (event["type"] == "ADDED" || event["type"] == "MODIFIED")
      expected.push_back(fmt::format("Upsert {} {}", to_string(resource.kind), key));
    if (event["type"] == "DELETED") expected.push_back(fmt::format("Remove {} {}", to_string(resource.kind), key));
  }
  Recorder recorder;
  Reflector reflector(resource, server.access(), recorder, recorder.warner(), hasty());
  reflector.start();
  CHECK(recorder.wait(expected.size()) == expected);
  reflector.stop();
  CHECK(recorder.warnings().empty());
  CHECK(server.requests().size() == 1);
}

TEST_CASE("recorded pages and watches, with a watch list refused as recorded", "[shared]") {
  if (absent()) return;
  RawServer server([&](const RawServer::Peer& peer, const std::string& head) {
    const auto asked = [&head](const std::string& part) { return head.find(part) != std::string::npos; };
    if (asked("sendInitialEvents")) return peer.send(wire("watchlist-refused-no-match", ".json", true));
    if (asked("resourceVersion=7434")) return peer.wait_for_close();
    if (asked("watch=true")) return peer.send(wire("services-watch", ".ndjson", true));
    for (const auto* page : {"4", "3", "2"}) {
      const auto previous = Json::parse(read(fmt::format("services-list-page{}.json", page[0] - '0' - 1)));
      if (asked("continue=" + previous["metadata"]["continue"].get<std::string>()))
        return peer.send(wire(std::string("services-list-page") + page, ".json", true));
    }
    peer.send(wire("services-list-page1", ".json", true));
  });
  Recorder recorder;
  Reflector reflector(watched_services(), server.access(), recorder, recorder.warner(), hasty());
  reflector.start();
  REQUIRE(server.wait_for_requests(7, deadline));
  reflector.stop();
  const auto requests = server.requests();
  CHECK(requests.at(5).find("resourceVersion=7419&") != std::string::npos);
  CHECK(requests.at(6).find("resourceVersion=7434&") != std::string::npos);
  const auto texts = recorder.wait(1);
  CHECK(texts.at(0) == "ReplaceBegin Service");
  CHECK(texts.at(items_in("services-list-plain.json") + 1) == "ReplaceEnd Service");
  CHECK(texts.back() == "Remove Service default/churn");
  CHECK(reflector.status().rejected == 0);
}

TEST_CASE("recorded refusals are dealt with", "[shared]") {
  if (absent()) return;
  const auto [name, extension, expected] = GENERATE(
      table<std::string, std::string, std::string>({{"services-watch-too-old", ".ndjson", "resourceVersion=7419"},
                                                    {"services-list-exact-too-old", ".json", "resourceVersion=7419"},
                                                    {"services-list-future", ".json", "resourceVersion=7419"}}));
  std::atomic<int> watches = 0;
  RawServer server([&, name = name, extension = extension](const RawServer::Peer& peer, const std::string& head) {
    if (head.find("sendInitialEvents") != std::string::npos)
      return peer.send(wire("watchlist-refused-no-match", ".json", true));
    if (head.find("watch=true") == std::string::npos) return peer.send(wire("services-list-plain", ".json", true));
    if (++watches == 1) return peer.send(wire(name, extension, true));
    peer.wait_for_close();
  });
  Recorder recorder;
  auto options = hasty();
  Reflector reflector(watched_services(), server.access(), recorder, recorder.warner(), options);
  reflector.start();
  // Refused watch list, list, refused watch, list at any version, watch.
  REQUIRE(server.wait_for_requests(5, deadline));
  reflector.stop();
  CHECK(server.requests().at(3).find("resourceVersion= ") != std::string::npos);
  CHECK(server.requests().at(4).find(expected) != std::string::npos);
}

TEST_CASE("the stand-in refuses as recorded", "[shared]") {
  if (absent()) return;
  ApiServerOptions options;
  options.token = "right";
  ApiServer server(options);
  load(server);
  server.forbid("list", "nodes");
  const auto first = Json::parse(ask(server, "/api/v1/services?limit=3").body);
  server.store().compact();
  const std::string token = first["metadata"]["continue"];
  const std::string watch = "/api/v1/services?watch=true&allowWatchBookmarks=true&timeoutSeconds=1";
  const auto [target, name, bearer] = GENERATE_COPY(table<std::string, std::string, std::string>(
      {{"/api/v1/services", "error-401", "wrong"},
       {"/api/v1/nodes", "error-403", ""},
       {"/api/v1/namespaces/default/services/nosuchservice", "error-404", ""},
       {watch + "&sendInitialEvents=true", "watchlist-refused-no-match", ""},
       {watch + "&sendInitialEvents=true&resourceVersionMatch=Exact", "watchlist-refused-exact", ""},
       {"/api/v1/services?resourceVersion=1&resourceVersionMatch=Exact&limit=3", "services-list-exact-too-old", ""},
       {"/api/v1/services?resourceVersion=99999999&resourceVersionMatch=NotOlderThan", "services-list-future", ""},
       {"/api/v1/services?limit=3&continue=" + token, "services-list-expired-continue", ""}}));
  const auto answer = ask(server, target, bearer);
  auto expected = Json::parse(read(name + ".json"));
  auto actual = Json::parse(answer.body);
  INFO(name);
  CHECK(answer.status == expected["code"]);
  CHECK(shape_of(actual) == shape_of(expected));
  CHECK(actual["reason"] == expected["reason"]);
  // The same words, but for the names and numbers of the case.
  const auto words = [](std::string text) {
    for (const auto* word : {"secrets", "nodes"})
      while (text.find(word) != std::string::npos)
        text.replace(text.find(word), std::string_view(word).size(), "RESOURCE");
    text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }), text.end());
    return text;
  };
  CHECK(words(actual["message"]) == words(expected["message"]));
  const auto head = read(name + ".headers");
  CHECK(head.rfind(fmt::format("HTTP/1.1 {} ", answer.status), 0) == 0);
  CHECK(head.find("Content-Type: application/json") != std::string::npos);
}

TEST_CASE("the stand-in lists as recorded", "[shared]") {
  if (absent()) return;
  ApiServer server;
  load(server);
  const std::string selector =
      "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name";
  const auto [target, name] = GENERATE_COPY(table<std::string, std::string>(
      {{"/api/v1/services", "services-list-plain"},
       {"/api/v1/services?limit=3", "services-list-page1"},
       {"/api/v1/services?" + selector + "&limit=500&resourceVersion=0", "services-list-selector"},
       {"/apis/discovery.k8s.io/v1/endpointslices?limit=3", "endpointslices-list-page1"},
       {"/apis/discovery.k8s.io/v1/endpointslices?" + selector + "&limit=500&resourceVersion=0",
        "endpointslices-list-selector"},
       {"/api/v1/nodes?fieldSelector=metadata.name%3Dlab-node&limit=500&resourceVersion=0",
        "node-list-field-selector"}}));
  INFO(name);
  const auto answer = ask(server, target);
  const auto expected = Json::parse(read(name + ".json"));
  const auto actual = Json::parse(answer.body);
  CHECK(answer.status == 200);
  CHECK(shape_of(actual) == shape_of(expected));
  CHECK(actual["kind"] == expected["kind"]);
  REQUIRE(actual["items"].size() == expected["items"].size());
  for (std::size_t i = 0; i < actual["items"].size(); ++i) {
    CHECK(actual["items"][i]["metadata"]["name"] == expected["items"][i]["metadata"]["name"]);
    if (actual["items"][i].contains("spec"))
      CHECK(nlohmann::json(actual["items"][i]["spec"]) == nlohmann::json(expected["items"][i]["spec"]));
  }
}

TEST_CASE("the stand-in pages through all as recorded", "[shared]") {
  if (absent()) return;
  ApiServer server;
  load(server);
  std::string next;
  for (const auto* page : {"1", "2", "3", "4"}) {
    const auto expected = Json::parse(read(std::string("services-list-page") + page + ".json"));
    const auto actual =
        Json::parse(ask(server, "/api/v1/services?limit=3" + (next.empty() ? "" : "&continue=" + next)).body);
    REQUIRE(actual["items"].size() == expected["items"].size());
    CHECK(actual["items"][0]["metadata"]["name"] == expected["items"][0]["metadata"]["name"]);
    CHECK(actual["metadata"].value("remainingItemCount", 0) == expected["metadata"].value("remainingItemCount", 0));
    next = actual["metadata"].value("continue", "");
    CHECK(next.empty() == !expected["metadata"].contains("continue"));
  }
}

TEST_CASE("the stand-in's defaults are the recorded ones", "[shared]") {
  if (absent()) return;
  const auto list = Json::parse(read("services-list-plain.json"));
  for (const auto& recorded : list["items"]) {
    const std::string name = recorded["metadata"]["name"];
    if (name == "kubernetes") continue;  // not posted by anybody
    auto posted = Json::parse(
        recorded["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].get<std::string>());
    // What the API server is known to fill in.
    for (const auto* field :
         {"sessionAffinity", "internalTrafficPolicy", "externalTrafficPolicy", "ipFamilies", "clusterIPs"})
      posted["spec"].erase(field);
    if (name != "direct") posted["spec"].erase("allocateLoadBalancerNodePorts");
    if (recorded["spec"].value("ipFamilyPolicy", "") == "SingleStack") posted["spec"].erase("ipFamilyPolicy");
    if (recorded["spec"].contains("clusterIPs") && recorded["spec"]["clusterIPs"].size() > 1)
      posted["spec"]["clusterIPs"] = recorded["spec"]["clusterIPs"];
    if (recorded["spec"].value("externalTrafficPolicy", "") == "Local")
      posted["spec"]["externalTrafficPolicy"] = "Local";
    for (auto& port : posted["spec"]["ports"])
      if (port["protocol"] == "TCP") port.erase("protocol");
    ApiServer server;
    const auto reply = server.store().create({fake::resource_of_kind("Service"), "default", "", ""}, posted);
    INFO(name);
    REQUIRE(reply.status == 201);
    for (const auto& [field, value] : recorded["spec"].items()) {
      // Without regard to the order of fields.
      CHECK(nlohmann::json(reply.body["spec"][field]) == nlohmann::json(value));
    }
    CHECK(nlohmann::json(reply.body["status"]) == nlohmann::json(recorded["status"]));
  }
}

TEST_CASE("the stand-in's watches go through the recorded steps", "[shared]") {
  if (absent()) return;
  const auto name = GENERATE(as<std::string>{}, "services-watch", "services-watch-selector", "services-watchlist");
  INFO(name);
  ApiServerOptions options;
  options.bookmark_period = 1h;
  ApiServer server(options);
  load(server);
  const auto version = std::to_string(server.store().version());
  std::string target = "/api/v1/services?watch=true&allowWatchBookmarks=true&timeoutSeconds=60";
  target += name == "services-watchlist" ? "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion="
                                         : "&resourceVersion=" + version;
  if (name == "services-watch-selector")
    target += "&labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name";
  const auto recorded = events_of(read(name + ".ndjson"));
  auto expected = steps_of(recorded);
  // The bookmarks at the end come with time; see there for their shape.
  while (!expected.empty() && expected.back() == "BOOKMARK ") expected.pop_back();

  std::string body;
  ApiConnection connection(server.access());
  bool written = false;
  (void)connection.get(target, 20s, [&](std::string_view piece) {
    body += piece;
    const bool started = name != "services-watchlist" || body.find("initial-events-end") != std::string::npos;
    if (!written && started) {
      written = true;
      server.store().create(service_path(""), service("churn"));
      server.store().merge(service_path("churn"), {{"spec", {{"ports", Json::array({{{"port", 8080}}})}}}});
      server.store().merge(service_path("churn"), {{"spec", {{"type", "LoadBalancer"}}}});
      auto status = service_path("churn");
      status.subresource = "status";
      server.store().replace(status,
                             {{"metadata", {{"name", "churn"}}},
                              {"status", {{"loadBalancer", {{"ingress", Json::array({{{"ip", "203.0.113.220"}}})}}}}}});
      server.store().merge(service_path("shop"),
                           {{"metadata", {{"labels", {{"service.kubernetes.io/service-proxy-name", "x"}}}}}});
      server.store().merge(service_path("shop"),
                           {{"metadata", {{"labels", {{"service.kubernetes.io/service-proxy-name", nullptr}}}}}});
      server.store().remove(service_path("churn"));
    }
    return body.find(
               "\"DELETED\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":"
               "\"churn\"") == std::string::npos ||
           body.back() != '\n';
  });
  const auto events = events_of(body);
  CHECK(steps_of(events) == expected);
  for (const auto& event : events) {
    CHECK(event.size() == 2);
    CHECK(event["object"].value("kind", "") == "Service");
    CHECK(event["object"]["metadata"].contains("resourceVersion"));
  }
  for (const auto& event : recorded)
    if (event["type"] == "BOOKMARK" && !event["object"]["metadata"].contains("annotations"))
      CHECK(shape_of(event["object"]) == shape_of(fake::bookmark(*fake::resource_of_kind("Service"), 1, false)));
}

TEST_CASE("the stand-in's bookmarks and errors in watches are shaped as recorded", "[shared]") {
  if (absent()) return;
  for (const auto& event : events_of(read("endpointslices-watch.ndjson")))
    if (event["type"] == "BOOKMARK")
      CHECK(shape_of(event["object"]) == shape_of(fake::bookmark(*fake::resource_of_kind("EndpointSlice"), 1, false)));
  ApiServer server;
  server.store().compact();
  const auto answer =
      ask(server, "/api/v1/services?watch=true&allowWatchBookmarks=true&resourceVersion=1&timeoutSeconds=10");
  CHECK(answer.status == 200);
  const auto expected = events_of(read("services-watch-too-old.ndjson")).at(0);
  const auto actual = events_of(answer.body).at(0);
  CHECK(shape_of(actual) == shape_of(expected));
  CHECK(actual["object"]["code"] == 410);
  CHECK(ask(server, "/api/v1/services?watch=true&resourceVersion=99999999&timeoutSeconds=1").body.empty());
}
