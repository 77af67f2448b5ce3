// Whatever the server or the network does to a reflector, it ends with the right objects, after a bounded number of
// requests, and the fault is told once.
#include <fmt/format.h>

#include "test/unit/api_support.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

constexpr std::string_view ok =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

std::string event(const std::string& type, const std::string& name, int version, int port = 80,
                  const std::string& note = "") {
  Json object = service(name, port);
  object["metadata"]["resourceVersion"] = std::to_string(version);
  if (!note.empty()) object["metadata"]["annotations"] = {{"note", note}};
  return Json{{"type", type}, {"object", object}}.dump() + "\n";
}

std::string bookmark(int version, bool initial_end = false) {
  Json object{{"kind", "Service"}, {"metadata", {{"resourceVersion", std::to_string(version)}}}};
  if (initial_end) object["metadata"]["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  return Json{{"type", "BOOKMARK"}, {"object", object}}.dump() + "\n";
}

std::string expired() {
  return R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}})"
         "\n";
}

std::string refusal(const std::string& status, const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: 0\r\n\r\n";
}

// The whole state as a watch begins with it.
std::string state() { return event("ADDED", "a", 11) + event("ADDED", "b", 12) + bookmark(20, true); }

// What the server says to the first requests, one after the other, byte for byte; then it closes. To all later ones it
// gives what a server in its right mind would: the state, then, or to a watch from a version at once, one more object.
struct Fault {
  std::string name;
  std::vector<std::string> answers;
  std::string warning;  // a part of it; "": it is no fault, or the reflector's to deal with
  bool one_byte_at_a_time = false;
};

std::string stream(const std::string& frames) { return std::string(ok) + chunk(frames); }

// One of a list that does not end with it.
std::string page(int count) {
  Json list{{"kind", "ServiceList"},
            {"metadata", {{"resourceVersion", "20"}, {"continue", "more"}}},
            {"items", Json::array()}};
  for (int i = 0; i < count; ++i) list["items"].push_back(service("s" + std::to_string(i)));
  const std::string body = list.dump();
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
}

std::vector<Fault> faults() {
  const std::string half = event("ADDED", "a", 11).substr(0, 40);
  const std::string big(3U << 20, 'x');
  return {
      {"nothing at all", {""}, "no answer"},
      {"half a status line", {"HTTP/1.1 2"}, "no answer"},
      {"a head without a body", {std::string(ok)}, "the connection broke within the answer"},
      {"half of the first object", {stream(half)}, "the connection broke within the answer"},
      {"half a chunk", {std::string(ok) + "ffff\r\n" + half}, "the connection broke within the answer"},
      {"the state without its end, closed in good order", {stream(event("ADDED", "a", 11)) + "0\r\n\r\n"}, ""},
      {"half an object after the state", {stream(state() + half)}, ""},
      {"half an object, then the end in good order", {stream(state() + half) + "0\r\n\r\n"}, ""},
      {"one byte at a time", {stream(state())}, "", true},
      {"429 with Retry-After", {refusal("429 Too Many Requests", "Retry-After: 0\r\n")}, "429"},
      {"500", {refusal("500 Internal Server Error")}, "500"},
      {"503 three times", {refusal("503 No"), refusal("503 No"), refusal("503 No")}, "503"},
      {"401", {refusal("401 Unauthorized")}, "bearer token"},
      {"410 at once", {refusal("410 Gone")}, ""},
      {"410 within the state", {stream(event("ADDED", "a", 11) + expired())}, ""},
      {"410 after the state", {stream(state() + expired())}, ""},
      {"410 to a watch", {stream(state()), refusal("410 Gone")}, ""},
      {"410 to a watch, as an event", {stream(state()), stream(expired())}, ""},
      {"bookmarks that go backwards", {stream(state() + bookmark(19) + bookmark(15))}, ""},
      {"one version for all", {stream(event("ADDED", "a", 11) + event("ADDED", "b", 11) + bookmark(11, true))}, ""},
      {"everything twice", {stream(event("ADDED", "a", 11) + event("ADDED", "a", 11) + state())}, ""},
      {"changes of two objects in another order",
       {stream(state() + event("MODIFIED", "b", 22, 81) + event("MODIFIED", "a", 21, 81) + event("MODIFIED", "b", 24) +
               event("MODIFIED", "a", 23))},
       ""},
      {"deleted twice, and added again",
       {stream(state() + event("DELETED", "a", 21) + event("DELETED", "a", 21) + event("ADDED", "a", 22))},
       ""},
      {"deleted before it was ever there", {stream(event("DELETED", "z", 9) + state())}, ""},
      {"an object of 3 MiB",
       {stream(event("ADDED", "a", 11, 80, big) + event("ADDED", "b", 12) + bookmark(20, true))},
       ""},
      {"an object above the limit", {stream(event("ADDED", "a", 11, 80, std::string(5U << 20, 'x')))}, "larger than"},
      {"more objects than the limit, in the stream",
       {stream([] {
         std::string many;
         for (int i = 0; i < 101; ++i) many += event("ADDED", "s" + std::to_string(i), 11);
         return many;
       }())},
       "services: more than 100 objects"},
      {"more objects than the limit, on pages without end",
       {refusal("400 Bad Request"), page(60), page(60)},
       "list services: more than 100 objects"},
      {"another protocol", {"SSH-2.0-OpenSSH_9.2\r\n"}, "services"},
      {"HTML of a proxy in between", {"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>no</html>"}, "services"},
      {"a chunk size that is none", {std::string(ok) + "zz\r\n"}, "the connection broke within the answer"},
      {"a negative length", {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"}, "services"},
      {"a redirection", {refusal("302 Found", "Location: http://192.0.2.1/\r\n")}, "302"},
  };
}

class Server {
 public:
  explicit Server(Fault fault)
      : fault_(std::move(fault)),
        raw_([this](const RawServer::Peer& peer, const std::string& head) { answer(peer, head); }) {}
  [[nodiscard]] const RawServer& raw() const { return raw_; }

 private:
  void answer(const RawServer::Peer& peer, const std::string& head) {
    const std::size_t number = count_++;
    if (number < fault_.answers.size()) {
      const std::string& bytes = fault_.answers[number];
      if (!fault_.one_byte_at_a_time) return peer.send(bytes);
      for (const char& c : bytes) peer.send({&c, 1});
      return;
    }
    const bool watch = head.find("watch=true") != std::string::npos;
    const bool initial = head.find("sendInitialEvents=true") != std::string::npos;
    if (!watch) {
      Json list{{"kind", "ServiceList"}, {"metadata", {{"resourceVersion", "20"}}}, {"items", Json::array()}};
      for (const auto* name : {"a", "b"}) list["items"].push_back(service(name));
      const std::string body = list.dump();
      return peer.send(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
    }
    peer.send(stream((initial ? state() : "") + event("ADDED", "last", 30)));
    peer.wait_for_close();
  }

  const Fault fault_;
  std::atomic<std::size_t> count_ = 0;
  RawServer raw_;
};

// What a reader of the events holds.
std::map<std::string, int> objects(const Recorder& recorder) {
  std::map<std::string, int> ports;
  std::map<std::string, int> mentioned;
  bool replacing = false;
  for (const auto& event : recorder.events()) {
    if (std::holds_alternative<ReplaceBegin>(event)) {
      mentioned.clear();
      replacing = true;
    } else if (const auto* upsert = std::get_if<Upsert>(&event)) {
      const auto& held = std::get<Service>(upsert->object);
      ports[held.key.name] = mentioned[held.key.name] = held.ports.at(0).port.number;
    } else if (const auto* remove = std::get_if<Remove>(&event)) {
      ports.erase(remove->key.name);
      mentioned.erase(remove->key.name);
    } else if (std::holds_alternative<ReplaceEnd>(event) && std::exchange(replacing, false)) {
      ports = mentioned;
    }
  }
  return ports;
}

ApiServerOptions over_tls(fake::KeyPair pair) {
  ApiServerOptions options;
  options.tls = true;
  options.certificate_pem = std::move(pair.certificate_pem);
  options.key_pem = std::move(pair.key_pem);
  options.bookmark_period = 1h;
  return options;
}

}  // namespace

TEST_CASE("after any fault the objects are right, in few requests, and it is told once") {
  for (const auto& fault : faults()) {
    INFO(fault.name);
    Recorder recorder;
    Server server(fault);
    auto options = hasty();
    options.frame_limit = 4U << 20;
    options.object_limit = 100;
    Reflector reflector(watched_services(), server.raw().access(), recorder, recorder.warner(), options);
    reflector.start();
    REQUIRE(recorder.wait_for("Upsert Service default/last"));
    reflector.stop();
    CHECK(objects(recorder) == std::map<std::string, int>{{"a", 80}, {"b", 80}, {"last", 80}});
    CHECK(server.raw().requests().size() <= fault.answers.size() + 3);
    const auto warnings = recorder.warnings();
    CHECK(warnings.size() == (fault.warning.empty() ? 0 : 1));
    if (!fault.warning.empty() && !warnings.empty()) CHECK_THAT(warnings[0], Catch::Contains(fault.warning));
    CHECK(reflector.status().synced);
    CHECK(reflector.status().last_error.empty());
  }
}

TEST_CASE("silence without an end is noticed, and what the server says then is taken") {
  std::atomic<int> count = 0;
  RawServer server([&](const RawServer::Peer& peer, const std::string&) {
    if (count++ == 0) return peer.wait_for_close();
    peer.send(stream(state()));
    peer.wait_for_close();
  });
  auto options = hasty();
  options.watch_list_silence = 1s;
  Recorder recorder;
  Reflector reflector(watched_services(), server.access(), recorder, recorder.warner(), options);
  reflector.start();
  CHECK(recorder.wait_for("ReplaceEnd Service"));
  CHECK_THAT(recorder.wait_for_warning("watch services"), Catch::Contains("silent for 1 s or more"));
  reflector.stop();
  CHECK(server.requests().size() == 2);
}

TEST_CASE("a certificate that has expired is told with what to do, and a new one is taken") {
  fake::CertificateAuthority authority;
  const auto good = authority.issue("kube-apiserver", {"IP:127.0.0.1"});
  const auto old = authority.issue("kube-apiserver", {"IP:127.0.0.1"}, -60s);
  std::optional<ApiServer> server(over_tls(old));
  auto access = server->access();
  access.ca.inline_pem = authority.pem();
  Recorder recorder;
  Reflector reflector(watched_services(), access, recorder, recorder.warner(), hasty());
  reflector.start();
  const auto warning = recorder.wait_for_warning("expired");
  CHECK_THAT(warning, Catch::Contains("certificate is not trusted: certificate has expired"));
  auto options = over_tls(good);
  options.port = server->port();
  server.reset();
  server.emplace(options);
  CHECK(recorder.wait_for("ReplaceEnd Service"));
  reflector.stop();
}

TEST_CASE("a name that DNS does not know is told once, however often it is tried") {
  ApiAccess access;
  access.host = "kube-ipvsd-test.invalid";  // RFC 6761: never resolves
  access.port = 6443;
  access.tls = false;
  Recorder recorder;
  Reflector reflector(watched_services(), access, recorder, recorder.warner(), hasty());
  reflector.start();
  CHECK_THAT(recorder.wait_for_warning("watch services"), Catch::Contains("kube-ipvsd-test.invalid:6443"));
  reflector.stop();
  CHECK(recorder.warnings().size() == 1);
}
