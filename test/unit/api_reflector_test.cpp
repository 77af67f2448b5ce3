// The reflector against the API server stand-in.
#include <fmt/format.h>

#include <set>

#include "test/unit/api_support.hpp"

using namespace ipvsd;
using namespace ipvsd::test;
using fake::WatchListMode;

namespace {

constexpr auto initial = "sendInitialEvents=true";
constexpr auto rewatch = "watch=true&allowWatchBookmarks=true&resourceVersion=1";  // versions begin with 1
constexpr auto listing = "limit=500&resourceVersion=";

ApiServerOptions quiet() {
  ApiServerOptions options;
  options.bookmark_period = 1h;
  return options;
}

struct Fixture {
  explicit Fixture(ApiServerOptions options = quiet(), WatchListMode mode = WatchListMode::on,
                   std::vector<std::string> names = {"a", "b"})
      : server(std::move(options)) {
    server.set_watch_list(mode);
    for (const auto& name : names) REQUIRE(server.apply(service(name)));
  }
  void start() {
    reflector.emplace(watched_services(), server.access(), recorder, recorder.warner(), hasty());
    reflector->start();
  }

  ApiServer server;
  Recorder recorder;
  std::optional<Reflector> reflector;
};

const std::vector<std::string> two_services{"ReplaceBegin Service", "Upsert Service default/a",
                                            "Upsert Service default/b", "ReplaceEnd Service"};

}  // namespace

TEST_CASE("initial state and changes arrive in order, by watch list or by list and watch") {
  const auto mode = GENERATE(WatchListMode::on, WatchListMode::refuse);
  Fixture f(quiet(), mode);
  f.start();
  CHECK(f.recorder.wait(4) == two_services);
  f.server.store().create(service_path(""), service("c"));
  f.server.store().replace(service_path("a"), service("a", 81));
  f.server.store().remove(service_path("b"));
  const auto texts = f.recorder.wait(7);
  REQUIRE(texts.size() == 7);
  CHECK(std::vector(texts.begin() + 4, texts.end()) ==
        std::vector<std::string>{"Upsert Service default/c", "Upsert Service default/a", "Remove Service default/b"});
  CHECK(std::get<Service>(std::get<Upsert>(f.recorder.events()[5]).object).ports.at(0).port == Port{81});

  f.reflector->stop();
  const auto status = f.reflector->status();
  CHECK(status.resource == "services");
  CHECK(status.synced);
  CHECK(status.events == 5);
  CHECK(status.lists == 1);
  CHECK(status.watches == 1);
  CHECK(status.rejected == 0);
  CHECK(status.last_error.empty());
  CHECK(f.recorder.warnings().empty());
  CHECK(count_requests(f.server, listing) == (mode == WatchListMode::on ? 0 : 1));
  for (const auto& request : f.server.log()) {
    CHECK(request.user_agent.rfind("kube-ipvsd/", 0) == 0);
    CHECK(request.accept_encoding == "identity");
    CHECK(request.target.find("labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2F"
                              "service-proxy-name") != std::string::npos);
  }
}

TEST_CASE("a server that ignores the wish for initial events is listed at its first bookmark") {
  ApiServerOptions options;
  options.bookmark_period = 20ms;
  Fixture f(options, WatchListMode::ignore);
  f.start();
  REQUIRE(f.recorder.wait_for("ReplaceEnd Service"));
  CHECK(f.server.wait_for_requests(rewatch, 1, deadline));
  CHECK(count_requests(f.server, listing) == 1);
  CHECK(f.recorder.warnings().empty());
}

TEST_CASE("a list comes page by page, and only the whole is a replacement") {
  auto options = quiet();
  options.page_limit = 3;
  std::vector<std::string> names;
  for (char c = 'a'; c < 'k'; ++c) names.emplace_back(1, c);
  Fixture f(options, WatchListMode::refuse, names);
  f.start();
  const auto texts = f.recorder.wait(12);
  CHECK(texts.size() == 12);
  CHECK(texts.front() == "ReplaceBegin Service");
  CHECK(texts.back() == "ReplaceEnd Service");
  CHECK(count_requests(f.server, "continue=") == 3);
}

TEST_CASE("a continue token that expires starts the list over in one piece") {
  auto options = quiet();
  options.page_limit = 1;
  Fixture f(options, WatchListMode::refuse, {"a", "b", "c"});
  f.server.fail_next(410, 1, std::nullopt, "continue=");
  f.start();
  CHECK(f.recorder.wait(7) == std::vector<std::string>{"ReplaceBegin Service", "Upsert Service default/a",
                                                       "ReplaceBegin Service", "Upsert Service default/a",
                                                       "Upsert Service default/b", "Upsert Service default/c",
                                                       "ReplaceEnd Service"});
}

TEST_CASE("thousands of objects come in batches") {
  std::vector<std::string> names;
  for (int i = 0; i < 1200; ++i) names.push_back("s" + std::to_string(i));
  const auto mode = GENERATE(WatchListMode::on, WatchListMode::refuse);
  Fixture f(quiet(), mode, names);
  f.start();
  CHECK(f.recorder.wait(1202).size() == 1202);
  CHECK(f.recorder.largest_batch() <= 256);
}

TEST_CASE("a dropped watch goes on without a list") {
  const auto mode = GENERATE(WatchListMode::on, WatchListMode::refuse);
  auto options = quiet();
  options.tls = GENERATE(false, true);
  Fixture f(options, mode);
  f.start();
  REQUIRE(f.recorder.wait(4).size() == 4);
  REQUIRE(f.server.wait_for_requests("watch=true", mode == WatchListMode::on ? 1 : 2, deadline));
  for (std::size_t round = 1; round <= 3; ++round) {
    f.server.drop_watches();
    f.server.store().replace(service_path("a"), service("a", 100 + static_cast<int>(round)));
    CHECK(f.recorder.wait(4 + round).size() == 4 + round);
  }
  CHECK(count_requests(f.server, listing) == (mode == WatchListMode::on ? 0 : 1));
  CHECK(count_requests(f.server, initial) == 1);
  f.reflector->stop();
  CHECK(f.reflector->status().lists == 1);
}

TEST_CASE("a version that is gone is followed by a replacement") {
  const auto mode = GENERATE(WatchListMode::on, WatchListMode::refuse);
  const bool by_status = GENERATE(false, true);
  Fixture f(quiet(), mode);
  f.start();
  REQUIRE(f.recorder.wait(4).size() == 4);
  // While the watch is away, an object goes and the history with it.
  f.server.fail_next(503, 1, std::nullopt, rewatch);
  if (by_status) f.server.fail_next(410, 1, std::nullopt, rewatch);
  f.server.drop_watches();
  f.server.store().remove(service_path("a"));
  f.server.store().compact();
  const auto expected =
      std::vector<std::string>{"ReplaceBegin Service", "Upsert Service default/b", "ReplaceEnd Service"};
  REQUIRE(f.server.wait_for_requests(mode == WatchListMode::on ? initial : listing, 2, deadline));
  REQUIRE(f.recorder.wait_for("ReplaceEnd Service"));
  const auto texts = f.recorder.wait(7);
  CHECK(std::vector(texts.end() - 3, texts.end()) == expected);
  f.reflector->stop();
  CHECK(f.reflector->status().lists == 2);
}

TEST_CASE("an object that gets the label of another proxy goes, and comes back without it") {
  Fixture f;
  f.start();
  REQUIRE(f.recorder.wait(4).size() == 4);
  f.server.store().merge(service_path("a"),
                         {{"metadata", {{"labels", {{"service.kubernetes.io/service-proxy-name", ""}}}}}});
  CHECK(f.recorder.wait_for("Remove Service default/a"));
  f.server.store().merge(service_path("a"),
                         {{"metadata", {{"labels", {{"service.kubernetes.io/service-proxy-name", nullptr}}}}}});
  CHECK(f.recorder.wait_for("Upsert Service default/a"));
}

TEST_CASE("an object that cannot be read keeps its place and does not end the watch") {
  const auto mode = GENERATE(WatchListMode::on, WatchListMode::refuse);
  Fixture f(quiet(), mode);
  auto bad = service("bad");
  bad["spec"]["ports"][0]["port"] = "http";
  REQUIRE(f.server.apply(bad));
  f.start();
  CHECK(f.recorder.wait(5) == std::vector<std::string>{"ReplaceBegin Service", "Upsert Service default/a",
                                                       "Upsert Service default/b", "Keep Service default/bad",
                                                       "ReplaceEnd Service"});
  f.server.store().merge(service_path("bad"), {{"metadata", {{"labels", {{"x", "y"}}}}}});
  CHECK(f.recorder.wait(6).back() == "Keep Service default/bad");
  CHECK(f.recorder.wait_for_warning("default/bad").find("port") != std::string::npos);
  f.reflector->stop();
  CHECK(f.reflector->status().rejected == 2);
}

TEST_CASE("a missing verb is named") {
  const auto [verb, mode] =
      GENERATE(table<std::string, WatchListMode>({{"watch", WatchListMode::on}, {"list", WatchListMode::refuse}}));
  Fixture f(quiet(), mode);
  f.server.forbid(verb, "services");
  f.start();
  const auto warning = f.recorder.wait_for_warning("Forbidden");
  CHECK(warning.find("grant the verb \"" + verb + "\" on \"services\" in API group \"\"") != std::string::npos);
  f.server.allow_all();
  CHECK(f.recorder.wait(4).size() == 4);
}

TEST_CASE("a wrong token is told, and a right one taken as soon as it is in the file") {
  auto options = quiet();
  options.token = "right";
  Fixture f(options);
  const std::string file = "/tmp/kube-ipvsd-test-token-" + std::to_string(::getpid());
  std::ofstream(file) << "wrong\n";
  auto access = f.server.access();
  access.token_file = file;
  f.reflector.emplace(watched_services(), access, f.recorder, f.recorder.warner(), hasty());
  f.reflector->start();
  CHECK(f.recorder.wait_for_warning("Unauthorized").find("bearer token") != std::string::npos);
  std::ofstream(file) << "right\n";
  CHECK(f.recorder.wait(4).size() == 4);
  // Rotation while a watch is open: the next one has the new token.
  std::ofstream(file) << "newer\n";
  f.server.set_token("newer");
  f.server.drop_watches();
  f.server.store().remove(service_path("a"));
  CHECK(f.recorder.wait_for("Remove Service default/a"));
  ::unlink(file.c_str());
}

TEST_CASE("a server that is busy is asked again") {
  Fixture f;
  f.server.fail_next(429, 2, 0);
  f.start();
  CHECK(f.recorder.wait(4).size() == 4);
  CHECK(f.recorder.warnings().size() == 1);
  CHECK(f.recorder.wait_for_warning("429").find("watch services") == 0);
  f.reflector->stop();
  CHECK(f.reflector->status().last_error.empty());
}

TEST_CASE("Retry-After is waited for, but not by stop()") {
  Fixture f;
  f.server.fail_next(429, 1, 3600);
  f.start();
  CHECK_FALSE(f.recorder.wait_for_warning("429").empty());
  f.reflector->stop();
  CHECK(f.server.log().size() == 1);
}

TEST_CASE("bookmarks move the version on") {
  ApiServerOptions options;
  options.bookmark_period = 20ms;
  Fixture f(options);
  f.start();
  REQUIRE(f.recorder.wait(4).size() == 4);
  REQUIRE(f.server.apply(node("elsewhere")));
  const auto version = std::to_string(f.server.store().version());
  // A bookmark has been read if a watch comes back with the version that only it carried.
  for (int attempt = 0; attempt < 50 && count_requests(f.server, "resourceVersion=" + version + "&") == 0; ++attempt) {
    const auto before = count_requests(f.server, rewatch);
    f.server.drop_watches();
    REQUIRE(f.server.wait_for_requests(rewatch, before + 1, deadline));
  }
  CHECK(count_requests(f.server, "resourceVersion=" + version + "&") > 0);
}

TEST_CASE("three resources are watched, and end together") {
  Fixture f;
  REQUIRE(f.server.apply(node("n1")));
  REQUIRE(f.server.apply(node("n2")));
  REQUIRE(f.server.apply(slice("web-1")));
  ApiSource source(f.server.access(), "n1", f.recorder, f.recorder.warner(), hasty());
  source.start();
  const auto texts = f.recorder.wait(10);
  CHECK(texts.size() == 10);
  CHECK(std::count(texts.begin(), texts.end(), "Upsert Node n1") == 1);
  CHECK(std::count(texts.begin(), texts.end(), "Upsert Node n2") == 0);
  CHECK(std::count(texts.begin(), texts.end(), "Upsert EndpointSlice default/web-1") == 1);
  source.stop();
  source.stop();
  REQUIRE(source.status().size() == 3);
  for (const auto& status : source.status()) CHECK(status.synced);
}

TEST_CASE("the end of the Node tells its last state: it may be the first that has the taint") {
  struct Deaf final : ReadingObserver {
    void on_answered(Ask::Verb) override {}
    void on_delivered(std::size_t) override {}
    void on_list_complete() override {}
    void on_rejected(const std::string&) override {}
    void on_doubt(const std::string&) override {}
  } deaf;
  Recorder recorder;
  ReflectorState state({10ms, 50ms});
  AnswerReading reading(Kind::node, {Ask::Verb::watch, "1", "", true}, 1U << 20, recorder, state, deaf);
  REQUIRE(reading.receive({}));
  REQUIRE(reading.receive(R"({"type":"DELETED","object":{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1",)"
                          R"("resourceVersion":"7"},"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler"}]}}})"
                          "\n"));
  REQUIRE(recorder.wait(2) == std::vector<std::string>{"Upsert Node n1", "Remove Node n1"});
  CHECK_FALSE(std::get<Node>(std::get<Upsert>(recorder.events()[0]).object).eligible);
}

TEST_CASE("each request is told, with its outcome") {
  Fixture f;
  std::mutex mutex;
  std::map<std::pair<std::string, int>, int> told;
  std::set<std::string> hosts;
  auto options = hasty();
  options.observe = [&](const ApiRequest& request) {
    const std::lock_guard lock(mutex);
    hosts.insert(request.host);
    ++told[{request.method, request.status}];
  };
  f.server.fail_next(500, 1);
  Reflector reflector(watched_services(), f.server.access(), f.recorder, f.recorder.warner(), options);
  reflector.start();
  CHECK(f.recorder.wait(4) == two_services);
  reflector.stop();
  const auto sent = count_requests(f.server, "GET ");
  CHECK(hosts == std::set{fmt::format("{}:{}", f.server.access().host, f.server.access().port)});
  CHECK(told[{"GET", 500}] == 1);
  CHECK(told[{"GET", 200}] == static_cast<int>(sent) - 1);

  // Nobody there.
  auto nowhere = f.server.access();
  nowhere.port = 1;
  int status = -1;
  ApiConnection connection(nowhere, [&](const ApiRequest& request) { status = request.status; });
  CHECK_FALSE(connection.get("/api/v1/services", 1s, [](std::string_view) { return true; }));
  CHECK(status == 0);
}

TEST_CASE("what was read while memory ran out is asked for again, and it is told once") {
  class Poor final : public EventSink {
   public:
    explicit Poor(EventSink& sink) : sink_(sink) {}
    void push(std::vector<ClusterEvent> events) override {
      for (const auto& event : events)
        if (to_text(event) == "Upsert Service default/c" && left_ > 0) {
          --left_;
          throw std::bad_alloc();
        }
      sink_.push(std::move(events));
    }

   private:
    EventSink& sink_;
    std::atomic<int> left_ = 3;
  };
  Fixture f;
  Poor poor(f.recorder);
  Reflector reflector(watched_services(), f.server.access(), poor, f.recorder.warner(), hasty());
  reflector.start();
  CHECK(f.recorder.wait(4) == two_services);
  // Its version has been seen when the memory is missing for it.
  f.server.store().create(service_path(""), service("c"));
  std::vector<std::string> texts;
  for (std::size_t count = 4; std::count(texts.begin(), texts.end(), "Upsert Service default/c") == 0;
       count = texts.size() + 1) {
    texts = f.recorder.wait(count);
    REQUIRE(texts.size() >= count);
  }
  CHECK_THAT(f.recorder.wait_for_warning("no memory"),
             Catch::EndsWith(": no memory for its answer; raise the memory limit: busy (ENOMEM)"));
  reflector.stop();
  const auto warnings = f.recorder.warnings();
  CHECK(std::set(warnings.begin(), warnings.end()).size() == warnings.size());
  CHECK(warnings.size() == 2);  // of the watch, and of the list after it
}
