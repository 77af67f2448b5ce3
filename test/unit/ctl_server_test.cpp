// The ctl socket from both ends: requests, answers, the loop's part, and what a client makes of them.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "ctl/cluster.hpp"
#include "ctl/daemon_client.hpp"
#include "ctl/status.hpp"
#include "daemon/config/options.hpp"
#include "daemon/serve/ctl_objects.hpp"
#include "daemon/serve/ctl_resources.hpp"
#include "daemon/source/decode.hpp"
#include "test/fake/fake_kernel.hpp"
#include "test/unit/accept_faults.hpp"
#include "test/unit/no_descriptors.hpp"
#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

CtlAnswer answers_nothing(const CtlRequest&) { return {200, "{}"}; }

Service full_service() {
  auto service = cluster_ip_service("full", "10.96.0.9");
  service.uid = "97a0";
  service.created = std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000));
  service.type = ServiceType::load_balancer;
  service.cluster_ips = {ip("fd00::9"), ip("10.96.0.9")};
  service.external_ips = {ip("203.0.113.1")};
  service.load_balancer_ips = {ip("203.0.113.2"), ip("fd00:2::1")};
  service.source_ranges = {*Cidr::parse("198.51.100.0/24")};
  service.affinity = std::chrono::seconds(77);
  service.internal_policy = service.external_policy = TrafficPolicy::local;
  service.health_check_node_port = Port{31000};
  service.ports = {{"http", Protocol::tcp, Port{80}, Port{30080}}, {"dns", Protocol::udp, Port{53}, Port{}}};
  return service;
}

EndpointSlice full_slice() {
  auto one = endpoint("10.244.1.1", false, "here");
  one.serving = one.terminating = true;
  one.for_zones = Shared(std::vector<std::string>{"zone-a", "zone-b"});
  one.for_nodes = Shared(std::vector<std::string>{"here"});
  auto all = slice("full", {one, endpoint("10.244.1.2")});
  all.set_pod(all.endpoints[0], "full-1");
  all.ports = {{"http", Protocol::tcp, Port{8080}}, {"dns", Protocol::udp, Port{5353}}};
  return all;
}

template <class T>
T decoded(Kind kind, const std::string& text) {
  Decoder decoder;
  const auto as_item = decoder.object(kind, text);
  REQUIRE(as_item);
  const auto as_manifest = decoder.manifest(text);
  REQUIRE(as_manifest.object);
  REQUIRE(*as_manifest.object);
  CHECK(std::get<T>((*as_manifest.object)->object) == std::get<T>(as_item->object));
  return std::get<T>(as_item->object);
}

// A loop with nothing in it but the ctl socket's questions.
class Daemon {
 public:
  explicit Daemon(const std::vector<Object>& objects) {
    kernel.add_node_address("eth0", "192.168.77.2", 24);
    REQUIRE(reconciler.start());
    for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) reconciler.apply(ReplaceBegin{kind});
    for (const auto& object : objects) reconciler.apply(Upsert{object});
    for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) reconciler.apply(ReplaceEnd{kind});
    while (reconciler.step(Instant{})) {
    }
    REQUIRE(server.start());
    loop = std::thread([this] {
      while (!ended)
        if (!questions.answer_one({reconciler, Moment::now(), Moment::now(), true})) std::this_thread::yield();
    });
  }
  ~Daemon() {
    questions.close();
    server.stop();
    ended = true;
    loop.join();
  }

  static WatchStatus watch() {
    WatchStatus status;
    status.resource = "services";
    status.synced = status.connected = true;
    return status;
  }

  std::string path = std::filesystem::temp_directory_path() / ("ctl-test." + std::to_string(::getpid()) + ".sock");
  FakeKernel kernel;
  Policy policy{{"rr", 0}, "here"};
  Reconciler reconciler{kernel, policy, std::nullopt, 1, [](const std::string&) {}};
  std::atomic<int> asked = 0;  // questions: each is a turn of the loop
  Questions questions{[this] { ++asked; }};
  HealthState health{Moment::now()};
  CtlFacts facts{"1.2.3",
                 policy,
                 config_json(default_config()),
                 Moment::now(),
                 [] { return std::vector{watch()}; },
                 [this](Moment now) { return health.answer(now); },
                 [] { return std::string(); }};
  Metrics metrics{"test"};
  Shortage shortage{metrics, [](const Error&) {}};
  CtlServer server{path, ctl_resources(facts, questions), shortage};
  std::atomic<bool> ended = false;
  std::thread loop;
};

// Sends these bytes, and returns what comes back.
std::string talk(const std::string& path, const std::string& bytes) {
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  (void)::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  std::string answer;
  std::array<char, 4096> buffer;
  for (ssize_t size; (size = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;)
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  return answer;
}

}  // namespace

TEST_CASE("an encoded object decodes to itself") {
  auto ignored = cluster_ip_service("ignored", "10.96.0.8");
  ignored.ignored = true;
  Service headless;
  headless.key = {"default", "headless"};
  headless.ports = {{"", Protocol::tcp, Port{80}, Port{}}};
  for (const auto& service : {full_service(), cluster_ip_service("plain", "10.96.0.1"), ignored, headless})
    CHECK(decoded<Service>(Kind::service, encode(service)) == service);
  for (const auto& one : {full_slice(), slice("six", {endpoint("fd00::1")})})
    CHECK(decoded<EndpointSlice>(Kind::endpoint_slice, encode(one)) == one);
  Node node{"here", "zone-a", {ip("192.168.77.2"), ip("fd00:77::2")}, {*Cidr::parse("10.244.1.0/24")}, false};
  CHECK(decoded<Node>(Kind::node, encode(node)) == node);
}

TEST_CASE("requests") {
  const auto good =
      parse_ctl_request("GET /v1/objects?service=default%2Fweb&x=&service=a/b HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(good);
  CHECK(good->path == "/v1/objects");
  CHECK(good->query == std::map<std::string, std::string>{{"service", "a/b"}, {"x", ""}});
  for (const std::string bad :
       {"", "\r\n", "GET /\r\n", "GET / HTTP/2\r\n", "POST / HTTP/1.1\r\n", "GET x HTTP/1.1\r\n", "GET /% HTTP/1.1\r\n",
        "GET /%zz HTTP/1.1\r\n", "GET /%00 HTTP/1.1\r\n", "GET /?%1f HTTP/1.1\r\n", "GET / HTTP/1.1"})
    CHECK_FALSE(parse_ctl_request(bad));
  CHECK_FALSE(parse_ctl_request("GET /" + std::string(ctl_request_limit, 'x') + " HTTP/1.1\r\n"));
}

TEST_CASE("answers, in pieces of any size") {
  const std::string good = ctl_answer_head(200) + "body";
  const std::string refused = ctl_answer_head(404) + R"({"error":"no\u001b such"})";
  for (std::size_t piece = 1; piece <= good.size(); ++piece) {
    std::string body;
    ctl::AnswerReader reader([&](std::string_view text) -> Result<void> {
      body += text;
      return {};
    });
    for (std::size_t at = 0; at < good.size(); at += piece)
      REQUIRE(reader.feed(std::string_view(good).substr(at, piece)));
    CHECK(reader.finish());
    CHECK(body == "body");
  }
  ctl::AnswerReader reader([](std::string_view) -> Result<void> { return fail(Errc::malformed, "not reached"); });
  REQUIRE(reader.feed(refused));
  const auto refusal = reader.finish();
  REQUIRE_FALSE(refusal);
  CHECK(refusal.error().code == Errc::not_found);
  CHECK(refusal.error().context.find("no  such") != std::string::npos);
  for (const std::string bad : {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 xx\r\n\r\n", "HTTP/1.1\r\n\r\n"})
    CHECK_FALSE(ctl::AnswerReader([](std::string_view) -> Result<void> { return {}; }).feed(bad));
  CHECK_FALSE(ctl::AnswerReader([](std::string_view) -> Result<void> { return {}; }).finish());
}

TEST_CASE("the socket serves the objects, the configuration and the status") {
  std::vector<Object> objects{full_service(), full_slice(), Node{"here", "zone-a", {ip("192.168.77.2")}, {}, true}};
  for (int i = 0; i < 100; ++i)
    objects.emplace_back(cluster_ip_service("s" + std::to_string(i), "10.97.0." + std::to_string(i + 1)));
  const Daemon daemon(objects);
  struct stat status {};
  REQUIRE(::stat(daemon.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);

  ctl::ClusterWords words;
  words.socket = daemon.path;
  const auto cluster = ctl::read_cluster(words, [](const std::string&) {});
  REQUIRE(cluster);
  CHECK(cluster->state.synced());
  CHECK(cluster->state.service_count() == 101);
  CHECK(cluster->policy.node_name == "here");
  CHECK(config_json(cluster->config) == daemon.facts.config);
  const auto* service = cluster->state.service({"default", "full"});
  REQUIRE(service != nullptr);
  CHECK(*service == full_service());
  REQUIRE(cluster->state.slices_of(service->key).size() == 1);
  CHECK(*cluster->state.slices_of(service->key)[0] == full_slice());
  REQUIRE(cluster->state.node() != nullptr);
  CHECK(cluster->state.node()->zone == "zone-a");

  const auto one = ctl::ask_daemon(daemon.path, "/v1/objects?service=default/s7");
  REQUIRE(one);
  CHECK(nlohmann::json::parse(*one)["items"].size() == 2);  // and the Node

  const auto text = ctl::ask_daemon(daemon.path, "/v1/status");
  REQUIRE(text);
  const auto parsed = ctl::parse_status(*text);
  REQUIRE(parsed);
  CHECK(ctl::is_healthy(*parsed));
  CHECK(ctl::status_table(*parsed).find("kube-ipvsd 1.2.3 ") == 0);
  const auto unknown = ctl::ask_daemon(daemon.path, "/v1/secrets");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == Errc::not_found);
}

TEST_CASE("what a client asks costs the loop a fixed number of bounded pieces") {
  std::vector<Object> objects;
  for (int i = 0; i < 100; ++i)
    objects.emplace_back(cluster_ip_service("s" + std::to_string(i), "10.97.0." + std::to_string(i + 1)));
  Daemon daemon(objects);
  const auto respond = ctl_resources(daemon.facts, daemon.questions);
  for (int round = 0; round < 20; ++round) {
    daemon.asked = 0;
    auto answer = respond({"/v1/objects", {}});
    REQUIRE(answer.status == 200);
    CHECK(daemon.asked == 1);  // the names alone
    std::vector<std::size_t> services;
    while (const auto piece = answer.more()) {
      std::size_t count = 0;
      for (auto at = piece->find(R"("kind":"Service")"); at != std::string::npos;
           at = piece->find(R"("kind":"Service")", at + 1))
        ++count;
      services.push_back(count);
    }
    CHECK(services == std::vector<std::size_t>{32, 32, 32, 4, 0});  // and the list's end, which asks nothing
    CHECK(daemon.asked == 5);
    CHECK(respond({"/v1/status", {}}).status == 200);
    CHECK(daemon.asked == 6);
    CHECK(respond({"/v1/config", {}}).status == 200);
    CHECK(daemon.asked == 6);
  }
}

TEST_CASE("of all who ask at once the loop answers one in a turn") {
  constexpr int askers = 5;
  std::atomic<int> asked = 0;
  std::atomic<int> answered = 0;
  Questions questions([&] { ++asked; });
  std::vector<std::thread> threads;
  for (int i = 0; i < askers; ++i)
    threads.emplace_back([&] { (void)questions.ask([&](const LoopView&) { return ++answered; }); });
  while (asked < askers) std::this_thread::yield();
  FakeKernel kernel;
  const Reconciler reconciler{kernel, {{"rr", 0}, "here"}, std::nullopt, 1, [](const std::string&) {}};
  const LoopView view{reconciler, Moment::now(), Moment::now(), true};
  for (int turn = 1; turn <= askers; ++turn) {
    CHECK(questions.answer_one(view) == (turn < askers));
    CHECK(answered == turn);
  }
  CHECK_FALSE(questions.answer_one(view));
  CHECK(answered == askers);
  for (auto& thread : threads) thread.join();
}

TEST_CASE("what could not be written is told with its Service") {
  std::vector<Object> objects{cluster_ip_service("web", "10.96.0.1")};
  Daemon daemon({});
  // Between two turns of the loop, as an event would be.
  const auto applied = daemon.questions.ask([&](const LoopView&) {
    daemon.kernel.fault = [](const Operation& operation) -> std::optional<FakeKernel::Fault> {
      if (!std::holds_alternative<BoundAddress>(operation.target)) return {};
      return FakeKernel::Fault{{Errc::denied, EPERM, "add address 10.96.0.1"}};
    };
    daemon.reconciler.apply(Upsert{objects[0]});
    while (daemon.reconciler.step(Instant{})) {
    }
    return true;
  });
  REQUIRE(applied);
  const auto text = ctl::ask_daemon(daemon.path, "/v1/status");
  REQUIRE(text);
  const auto status = ctl::parse_status(*text);
  REQUIRE(status);
  CHECK_FALSE(ctl::is_healthy(*status));
  REQUIRE(ctl::failing_objects(*status).size() == 1);
  CHECK(ctl::failing_objects(*status)[0].first == "address 10.96.0.1");
  CHECK((*status)["dirty"][0]["services"].dump() == R"(["default/web"])");
  CHECK(ctl::status_table(*status).find("address 10.96.0.1 of default/web") != std::string::npos);
}

TEST_CASE("hostile clients") {
  const Daemon daemon({});
  CHECK(talk(daemon.path, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(talk(daemon.path, std::string(100'000, 'x')).empty());
  // Clients that say nothing hold no more than their own connection, and not for long.
  std::vector<Fd> silent;
  for (int i = 0; i < 4; ++i) {
    silent.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, daemon.path.data(), daemon.path.size());
    REQUIRE(::connect(silent.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK(ctl::ask_daemon(daemon.path, "/v1/status"));
}

TEST_CASE("a socket in use is not taken, one that was left is") {
  const Daemon daemon({});
  Metrics metrics("test");
  Shortage shortage(metrics, [](const Error&) {});
  CtlServer second(
      daemon.path, [](const CtlRequest&) { return CtlAnswer{}; }, shortage);
  const auto taken = second.start();
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Errc::busy);
  CHECK(ctl::ask_daemon(daemon.path, "/v1/status"));

  const auto left = daemon.path + ".left";
  {
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, left.data(), left.size());
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CtlServer third(left, answers_nothing, shortage);
  REQUIRE(third.start());
  CHECK(ctl::ask_daemon(left, "/") == "{}");
  third.stop();
  CHECK_FALSE(std::filesystem::exists(left));
  CHECK(ctl::ask_daemon(left, "/").error().code == Errc::not_found);
}

TEST_CASE("a client that finds no descriptor waits, and the threads do not run in circles") {
  if (!NoDescriptors::possible) return;
  const auto path = std::filesystem::temp_directory_path() / ("ctl-test." + std::to_string(::getpid()) + ".short");
  Metrics metrics("test");
  std::atomic<int> told = 0;
  Shortage shortage(metrics, [&](const Error& error) {
    if (error.sys_errno == EMFILE && error.code == Errc::busy) ++told;
  });
  CtlServer server(path, answers_nothing, shortage);
  REQUIRE(server.start());
  Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  const auto began = std::chrono::steady_clock::now();
  {
    const NoDescriptors none;
    REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::send(client.get(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
    while (accept_failures(metrics) < 8) std::this_thread::yield();
  }
  std::string answer;
  std::array<char, 4096> buffer;
  for (ssize_t size; (size = ::recv(client.get(), buffer.data(), buffer.size(), 0)) > 0;)
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  CHECK_THAT(answer, Catch::EndsWith("{}"));
  const auto looks = 1 + (std::chrono::steady_clock::now() - began) / Shortage::pause;
  CHECK(accept_failures(metrics) <= static_cast<double>(4 * looks));
  CHECK(told == 1);
}

TEST_CASE("whatever the node is short of, a client that asks waits and is answered") {
  const int sys_errno = GENERATE(EMFILE, ENFILE, ENOBUFS, ENOMEM);
  const auto path = std::filesystem::temp_directory_path() / ("ctl-test." + std::to_string(::getpid()) + ".want");
  Metrics metrics("test");
  std::atomic<int> told = 0;
  Shortage shortage(metrics, [&](const Error& error) {
    if (error.sys_errno == sys_errno) ++told;
  });
  CtlServer server(path, answers_nothing, shortage);
  REQUIRE(server.start());
  fail_accepts(6, sys_errno);
  CHECK(ctl::ask_daemon(path, "/") == "{}");
  CHECK(ctl::ask_daemon(path, "/") == "{}");
  CHECK(accept_failures(metrics) == 6);
  CHECK(told == 1);
}

TEST_CASE("questions after the end are answered by an error") {
  Questions questions([] {});
  questions.close();
  const auto answer = questions.ask([](const LoopView&) { return 1; });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::disconnected);
}

TEST_CASE("answers that no daemon gives") {
  for (const std::string bad : {"", "[]", "{}", R"({"healthy":1})", "{\"healthy\":true", "\xff"})
    CHECK_FALSE(ctl::parse_status(bad));
  // Any shape of the members is told as far as it goes.
  const auto odd = ctl::parse_status(R"({"healthy":true,"sources":{},"dirty":[1,{"services":3}],"lastEvent":[],
    "drift":7,"conflicts":"x","problems":[null,"a\u001bb"],"dirtyCount":-1})");
  REQUIRE(odd);
  CHECK(ctl::status_table(*odd).find('\x1b') == std::string::npos);
  for (const std::string bad : {"", "{}", R"({"node":1,"families":[],"config":{}})", R"({"node":"x","families":[]})",
                                R"({"node":"x","families":[],"config":{"clusterCIDR":"y"}})"})
    CHECK_FALSE(ctl::cluster_of_config(bad));
  ClusterState state("here");
  ctl::ObjectsReader cut(state);
  CHECK(cut.feed(R"({"kind":"List","apiVersion":"v1","items":[)"));
  CHECK_FALSE(cut.finish());
  CHECK_FALSE(state.synced());
  ctl::ObjectsReader odd_item(state);
  CHECK_FALSE(odd_item.feed(R"({"kind":"List","apiVersion":"v1","items":[{"kind":"Pod"}]})"));
}
