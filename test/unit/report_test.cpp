// Events: their documents, their rate, and their way to the API server.
#include <catch2/catch.hpp>

#include "daemon/report/event_recorder.hpp"
#include "test/unit/api_support.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

using Instant = EventSeries::Instant;
const WallTime wall{1714557600s};

Event listen_failed(const std::string& service = "web") {
  return {about_service({"default", service}, service + "-uid"), EventType::warning, "FailedToStartServiceHealthcheck",
          "Listen", "port 32000 is taken"};
}

struct Fixture {
  explicit Fixture(const ApiServerOptions& options = {}) : server(options) {}
  ApiServer server;
  Metrics metrics{"test"};
  Recorder warnings;
  EventRecorder recorder{server.access(), "node-1", metrics, warnings.warner()};
};

}  // namespace

TEST_CASE("an Event's document") {
  auto event = listen_failed();
  const auto json = Json::parse(event_json(event, "web.1", "kube-ipvsd", "kube-ipvsd-node-1", wall + 1500us));
  CHECK(json["apiVersion"] == "events.k8s.io/v1");
  CHECK(json["metadata"] == Json({{"name", "web.1"}, {"namespace", "default"}}));
  CHECK(json["eventTime"] == "2024-05-01T10:00:00.001500Z");
  CHECK(json["reportingController"] == "kube-ipvsd");
  CHECK(json["reportingInstance"] == "kube-ipvsd-node-1");
  CHECK(json["type"] == "Warning");
  CHECK(json["reason"] == "FailedToStartServiceHealthcheck");
  CHECK(json["action"] == "Listen");
  CHECK(json["note"] == "port 32000 is taken");
  CHECK(
      json["regarding"] ==
      Json({{"apiVersion", "v1"}, {"kind", "Service"}, {"namespace", "default"}, {"name", "web"}, {"uid", "web-uid"}}));

  event.note = std::string(1023, 'x') + "\u00e9";  // cut before the character, not within
  CHECK(Json::parse(event_json(event, "n", "r", "i", wall))["note"] == std::string(1023, 'x'));
  event.note = "quote \" newline \n";
  CHECK(Json::parse(event_json(event, "n", "r", "i", wall))["note"] == event.note);

  event.about = about_node("node-1");
  const auto of_node = Json::parse(event_json(event, "n", "r", "i", wall));
  CHECK(of_node["regarding"] == Json({{"apiVersion", "v1"}, {"kind", "Node"}, {"name", "node-1"}, {"uid", "node-1"}}));
  CHECK(of_node["metadata"]["namespace"] == "default");
  CHECK(event_name(event, wall, 0) != event_name(event, wall, 1));
  event.about.key.name = std::string(253, 'a');
  CHECK(event_name(event, wall, 0).size() == 253);
}

TEST_CASE("what repeats is a series on the first Event") {
  EventSeries series;
  Instant now{};
  const auto event = listen_failed();
  REQUIRE(series.observe(event, now, wall));
  const auto first = series.take(now);
  REQUIRE(first);
  CHECK(first->count == 1);
  CHECK_FALSE(series.take(now));
  CHECK_FALSE(series.next_due(now));

  REQUIRE(series.observe(event, now += 1s, wall + 1s));
  const auto second = series.take(now);
  REQUIRE(second);
  CHECK(second->count == 2);
  CHECK(second->name == first->name);
  CHECK(second->last == wall + 1s);

  // From then on once in five minutes, however often it happens.
  for (int i = 0; i < 10; ++i) REQUIRE(series.observe(event, now += 1s, wall));
  CHECK_FALSE(series.take(now));
  REQUIRE(series.next_due(now));
  now = *series.next_due(now);
  const auto third = series.take(now);
  REQUIRE(third);
  CHECK(third->count == 12);

  // After six quiet minutes it is a new one.
  REQUIRE(series.observe(event, now += 6min, wall + 1h));
  const auto anew = series.take(now);
  REQUIRE(anew);
  CHECK(anew->count == 1);
  CHECK(anew->name != first->name);
}

TEST_CASE("what happens twice before it is sent is created first, and a series then") {
  EventSeries series;
  REQUIRE(series.observe(listen_failed(), Instant{}, wall));
  REQUIRE(series.observe(listen_failed(), Instant{}, wall));
  CHECK(series.take(Instant{})->count == 1);
  CHECK(series.take(Instant{})->count == 2);
  CHECK_FALSE(series.take(Instant{}));
}

TEST_CASE("a flood is bounded in rate and in number") {
  EventSeries series;
  Instant now{};
  int refused = 0;
  for (int i = 0; i < 600; ++i) refused += series.observe(listen_failed("s" + std::to_string(i)), now, wall) ? 0 : 1;
  CHECK(refused == 600 - 512);
  int sent = 0;
  while (series.take(now)) ++sent;
  CHECK(sent == 25);
  REQUIRE(series.next_due(now));
  CHECK(*series.next_due(now) > now);
  now += 30s;
  for (sent = 0; series.take(now);) ++sent;
  CHECK(sent == 10);
}

TEST_CASE("Events arrive at the API server, and a series on them") {
  Fixture f;
  f.recorder.start();
  f.recorder.record({about_node("node-1"), EventType::normal, "Starting", "StartKubeProxy", ""});
  f.recorder.record(listen_failed());
  REQUIRE(f.recorder.flush(deadline));
  auto events = f.server.events().all();
  REQUIRE(events.size() == 2);
  const auto starting = events[events[0]["reason"] == "Starting" ? 0 : 1];
  CHECK(starting["type"] == "Normal");
  CHECK(starting["regarding"]["name"] == "node-1");
  f.recorder.record(listen_failed());
  REQUIRE(f.recorder.flush(deadline));
  events = f.server.events().all();
  REQUIRE(events.size() == 2);
  const auto repeated = events[events[0]["reason"] == "Starting" ? 1 : 0];
  CHECK(repeated["series"]["count"] == 2);
  CHECK(f.server.log().back().method == "PATCH");
  CHECK_THAT(f.metrics.text(), Catch::Contains("kube_ipvsd_events_total{result=\"sent\"} 3\n"));
}

TEST_CASE("a server that is away gets them later; one that refuses them is named once") {
  Fixture f;
  SECTION("unavailable") {
    f.server.fail_next(503, 1, {}, "/events");
    f.recorder.start();
    f.recorder.record(listen_failed());
    REQUIRE(f.recorder.flush(deadline));
    CHECK(f.server.events().all().size() == 1);
    CHECK_THAT(f.warnings.wait_for_warning("503"),
               Catch::StartsWith("Event FailedToStartServiceHealthcheck about Service default/web: http"));
  }
  SECTION("forbidden") {
    f.server.forbid("create", "events");
    f.recorder.start();
    f.recorder.record(listen_failed());
    f.recorder.record(listen_failed("api"));
    REQUIRE(f.recorder.flush(deadline));
    CHECK(f.server.events().all().empty());
    CHECK_THAT(f.warnings.wait_for_warning("403"),
               Catch::Contains("grant the verbs \"create\" and \"patch\" on \"events\""));
    CHECK(f.warnings.warnings().size() == 1);
    CHECK_THAT(f.metrics.text(), Catch::Contains("kube_ipvsd_events_total{result=\"refused\"} 2\n"));
  }
  SECTION("forgotten meanwhile") {
    f.recorder.start();
    f.recorder.record(listen_failed());
    REQUIRE(f.recorder.flush(deadline));
    f.server.events().clear();
    f.recorder.record(listen_failed());
    REQUIRE(f.recorder.flush(deadline));
    f.recorder.record(listen_failed());
    REQUIRE(f.recorder.flush(deadline));
    REQUIRE(f.server.events().all().size() == 1);
    CHECK_FALSE(f.server.events().all()[0].contains("series"));
  }
}

TEST_CASE("recording never waits, and stop neither") {
  RawServer server([](const RawServer::Peer& peer, const std::string&) { peer.wait_for_close(); });
  Metrics metrics("test");
  EventRecorder recorder(server.access(), "node-1", metrics, [](const std::string&) {});
  recorder.start();
  for (int i = 0; i < 2000; ++i) recorder.record(listen_failed("s" + std::to_string(i)));
  CHECK_FALSE(recorder.flush(10ms));
  CHECK_THAT(metrics.text(), !Catch::Contains("kube_ipvsd_events_total{result=\"dropped\"} 0\n"));
  recorder.stop();
  recorder.stop();
  CHECK(recorder.flush(0ms));
}
