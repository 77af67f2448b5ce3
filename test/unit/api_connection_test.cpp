// TLS, credentials, misbehaving peers, and stop().
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/source/api_tls.hpp"
#include "test/unit/api_support.hpp"

using namespace ipvsd;
using namespace ipvsd::test;
using fake::CertificateAuthority;

namespace {

constexpr auto target = "/api/v1/services?limit=1";

Result<ApiAnswer> get(const ApiAccess& access, std::string* body = nullptr) {
  ApiConnection connection(access);
  return connection.get(target, 10s, [body](std::string_view piece) {
    if (body != nullptr) body->append(piece);
    return true;
  });
}

ApiServerOptions over_tls(const std::string& host = "127.0.0.1") {
  ApiServerOptions options;
  options.host = host;
  options.tls = true;
  return options;
}

std::string scratch_file(const std::string& name, const std::string& text) {
  const std::string path = "/tmp/kube-ipvsd-test-" + std::to_string(::getpid()) + "-" + name;
  std::ofstream(path) << text;
  return path;
}

// A listener whose queue is full: connections to it get no answer at all.
class DeafListener {
 public:
  DeafListener() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    auto* generic = reinterpret_cast<sockaddr*>(&address_);
    REQUIRE(::bind(listener_.get(), generic, size) == 0);
    REQUIRE(::listen(listener_.get(), 0) == 0);
    REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
    for (auto& filler : fillers_) {
      filler = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      (void)::connect(filler.get(), generic, size);
    }
  }
  [[nodiscard]] ApiAccess access() const {
    ApiAccess access;
    access.host = "127.0.0.1";
    access.port = ntohs(address_.sin_port);
    access.tls = false;
    return access;
  }
  // Connections to it that wait for their answer: state SYN_SENT in /proc/net/tcp.
  [[nodiscard]] std::size_t waiting() const {
    const std::string line_part = fmt::format(" 0100007F:{:04X} 02 ", ntohs(address_.sin_port));
    std::ifstream table("/proc/net/tcp");
    std::size_t count = 0;
    for (std::string line; std::getline(table, line);)
      if (line.find(line_part) != std::string::npos) ++count;
    return count;
  }
  [[nodiscard]] bool wait_for_another(std::size_t before) const {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (waiting() <= before && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return waiting() > before;
  }

 private:
  sockaddr_in address_{};
  Fd listener_;
  std::array<Fd, 3> fillers_;
};

constexpr std::string_view ok_head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
constexpr std::string_view chunked = "Transfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

}  // namespace

TEST_CASE("query values are encoded") {
  CHECK(encode_query_value("a-b_c.d~9") == "a-b_c.d~9");
  CHECK(encode_query_value("!x/y,z=\xc3\xa4 +&%") == "%21x%2Fy%2Cz%3D%C3%A4%20%2B%26%25");
}

TEST_CASE("the certificate authority decides, by file or inline, for addresses and names of both families") {
  const auto host = GENERATE("127.0.0.1", "::1", "localhost");
  ApiServer server(over_tls(host));
  std::string body;
  const auto answer = get(server.access(), &body);
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(body.find("ServiceList") != std::string::npos);

  auto access = server.access();
  access.ca = {scratch_file("ca", server.ca_pem()), ""};
  CHECK(get(access));
  ::unlink(access.ca.path.c_str());
  const auto gone = get(access);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().code == Errc::not_found);
  CHECK(gone.error().message().find(access.ca.path) != std::string::npos);
}

TEST_CASE("a server of another authority, or under another name, is refused with the reason") {
  ApiServer server(over_tls());
  auto access = server.access();
  std::string reason;
  SECTION("another authority") {
    access.ca.inline_pem = CertificateAuthority("another").pem();
    reason = "certificate";
  }
  SECTION("the system's authorities") {
    access.ca = {};
    reason = "certificate";
  }
  SECTION("another name") {
    access.server_name = "other.example.com";
    reason = "hostname mismatch";
  }
  const auto answer = get(access);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::denied);
  CHECK(answer.error().message().find("is not trusted") != std::string::npos);
  CHECK(answer.error().message().find(reason) != std::string::npos);
  CHECK(server.log().empty());
  access.insecure_skip_verify = true;
  CHECK(get(access));
}

TEST_CASE("tls-server-name replaces the host's name") {
  ApiServer server(over_tls());
  auto access = server.access();
  access.server_name = "kubernetes.default.svc";
  CHECK(get(access));
  access.host = "localhost";
  CHECK(get(access));
}

TEST_CASE("a client certificate is shown") {
  CertificateAuthority clients;
  auto options = over_tls();
  options.client_ca_pem = clients.pem();
  ApiServer server(options);
  auto access = server.access();
  CHECK_FALSE(get(access));
  const auto own = clients.issue("system:kube-proxy", {});
  access.client_certificate.inline_pem = own.certificate_pem;
  access.client_key.inline_pem = own.key_pem;
  CHECK(get(access));

  access.client_key.inline_pem = clients.issue("somebody", {}).key_pem;
  const auto mismatch = get(access);
  REQUIRE_FALSE(mismatch);
  CHECK(mismatch.error().code == Errc::malformed);
  CHECK(mismatch.error().message().find("client key") != std::string::npos);
}

TEST_CASE("credentials that are none are refused before they are sent") {
  ApiServer server(over_tls());
  auto access = server.access();
  SECTION("not PEM") { access.ca.inline_pem = "hello"; }
  SECTION("a token with a line break inside") { access.token_file = scratch_file("token", "a\r\nX-Evil: 1"); }
  const auto answer = get(access);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::malformed);
  CHECK(server.log().empty());
  if (!access.token_file.empty()) ::unlink(access.token_file.c_str());
}

TEST_CASE("a 401 is tried again at once if the token has changed meanwhile") {
  const auto file = scratch_file("rotating", "old");
  RawServer server([&](const RawServer::Peer& peer, const std::string& head) {
    if (head.find("Bearer new\r\n") != std::string::npos) {
      peer.send(std::string(ok_head) + "Content-Length: 2\r\n\r\n{}");
      return;
    }
    std::ofstream(file) << "new\n";
    peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
  });
  auto access = server.access();
  access.token_file = file;
  const auto answer = get(access);
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(server.requests().size() == 2);
  ::unlink(file.c_str());
}

TEST_CASE("the head of a request") {
  RawServer server([](const RawServer::Peer& peer, const std::string&) {
    peer.send("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 100000\r\n\r\n" +
              std::string(100000, 'x'));
  });
  auto access = server.access();
  access.path_prefix = "/clusters/one";
  access.token = "t";
  const auto answer = get(access);
  REQUIRE(answer);
  CHECK(answer->status == 429);
  CHECK(answer->retry_after == 3s);
  CHECK(answer->body.size() == 64 << 10);
  const auto head = server.requests().at(0);
  CHECK(head.rfind("GET /clusters/one/api/v1/services?limit=1 HTTP/1.1\r\n", 0) == 0);
  for (const auto* line :
       {"Accept: application/json\r\n", "Authorization: Bearer t\r\n", "User-Agent: kube-ipvsd/", "Host: 127.0.0.1:"})
    CHECK(head.find(line) != std::string::npos);
}

TEST_CASE("objects are posted and patched") {
  ApiServer server;
  ApiConnection connection(server.access());
  const std::string services = "/api/v1/namespaces/default/services";
  const auto posted = connection.post(services, R"({"metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}})", 10s);
  REQUIRE(posted);
  CHECK(posted->status == 201);
  const auto patched = connection.patch(services + "/web", R"({"metadata":{"labels":{"a":"b"}}})", 10s);
  REQUIRE(patched);
  CHECK(patched->status == 200);
  CHECK_THAT(patched->body, Catch::Contains(R"("labels":{"a":"b"})"));
}

TEST_CASE("silence, refusal and broken answers are told apart") {
  SECTION("silence") {
    RawServer server([](const RawServer::Peer& peer, const std::string&) { peer.wait_for_close(); });
    ApiConnection connection(server.access());
    const auto answer = connection.get(target, 1s, [](std::string_view) { return true; });
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::timed_out);
  }
  SECTION("nobody listens") {
    ApiAccess access;
    {
      RawServer server(nullptr);
      access = server.access();
    }
    const auto answer = get(access);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::disconnected);
    CHECK(answer.error().message().find("no connection") != std::string::npos);
  }
  SECTION("closed within the answer") {
    RawServer server([](const RawServer::Peer& peer, const std::string&) {
      peer.send(std::string(ok_head) + std::string(chunked) + chunk("half"));
    });
    std::string body;
    const auto answer = get(server.access(), &body);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::disconnected);
    CHECK(body == "half");
  }
  SECTION("not HTTP") {
    RawServer server(
        [](const RawServer::Peer& peer, const std::string&) { peer.send("SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"); });
    CHECK_FALSE(get(server.access()));
  }
  SECTION("a plain server asked for TLS") {
    RawServer server(
        [](const RawServer::Peer& peer, const std::string&) { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"); });
    auto access = server.access();
    access.tls = true;
    CHECK_FALSE(get(access));
  }
}

TEST_CASE("stop() ends whatever is under way") {
  std::optional<ApiServer> server;
  std::optional<RawServer> raw;
  ApiAccess access;
  std::function<bool()> under_way;
  SECTION("an idle watch over TLS") {
    ApiServerOptions options = over_tls();
    options.bookmark_period = 1h;
    server.emplace(options);
    access = server->access();
    under_way = [&] { return server->wait_for_requests("watch=true", 1, deadline); };
  }
  SECTION("an answer that does not come") {
    raw.emplace([](const RawServer::Peer& peer, const std::string&) { peer.wait_for_close(); });
    access = raw->access();
    under_way = [&] { return raw->wait_for_requests(1, deadline); };
  }
  SECTION("a TLS handshake with a server that never accepts") {
    raw.emplace(nullptr);
    access = raw->access();
    access.tls = true;
    under_way = [&] { return raw->wait_for_connection(deadline); };
  }
  SECTION("an answer from a server that never accepts") {
    raw.emplace(nullptr);
    access = raw->access();
    under_way = [&] { return raw->wait_for_connection(deadline); };
  }
  std::optional<DeafListener> deaf;
  SECTION("a connection that gets no answer") {
    deaf.emplace();
    access = deaf->access();
    under_way = [&deaf, before = deaf->waiting()] { return deaf->wait_for_another(before); };
  }
  Recorder recorder;
  Reflector reflector(watched_services(), access, recorder, recorder.warner(), hasty());
  reflector.start();
  CHECK(under_way());
  reflector.stop();
  CHECK_FALSE(reflector.status().connected);
}

TEST_CASE("a connection that was stopped before it began") {
  ApiServer server;
  ApiConnection connection(server.access());
  connection.stop();
  const auto answer = connection.get(target, 10s, [](std::string_view) { return true; });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::interrupted);
  CHECK(server.log().empty());
}

TEST_CASE("a watch that is cut within an object goes on after the last whole one") {
  const std::string web =
      R"({"type":"ADDED","object":{"metadata":{"name":"web","namespace":"default","resourceVersion":"12"},"spec":{"clusterIP":"10.96.0.1","ports":[{"port":80}]}}})";
  const std::string end =
      R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"20","annotations":{"k8s.io/initial-events-end":"true"}}}})";
  RawServer server([&](const RawServer::Peer& peer, const std::string& head) {
    peer.send(std::string(ok_head) + std::string(chunked));
    if (head.find("sendInitialEvents") != std::string::npos) {
      // One byte at a time, as the slowest of servers.
      for (const char c : chunk(web + "\n" + end + "\n")) peer.send({&c, 1});
      peer.send(chunk(R"({"type":"MODIFIED","object":{"metadata":{"name":"we)"));
      return;
    }
    peer.wait_for_close();
  });
  Recorder recorder;
  Reflector reflector(watched_services(), server.access(), recorder, recorder.warner(), hasty());
  reflector.start();
  REQUIRE(server.wait_for_requests(2, deadline));
  CHECK(server.requests().at(1).find("resourceVersion=20&") != std::string::npos);
  reflector.stop();
  CHECK(recorder.wait(3) ==
        std::vector<std::string>{"ReplaceBegin Service", "Upsert Service default/web", "ReplaceEnd Service"});
}

TEST_CASE("hostile streams are told about, and end nothing but themselves") {
  const auto [bytes, reason] = GENERATE(table<std::string, std::string>({
      {std::string(2000, 'x'), "larger than 1000 bytes"},
      {"[]\n", "watch"},
      {"{\"type\":\"ADDED\"\n", "watch"},
      {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"m\",\"reason\":"
       "\"InternalError\"}}\n",
       "InternalError"},
      {std::string("\0\0\xff\n", 4), "watch"},
  }));
  RawServer server([bytes = bytes](const RawServer::Peer& peer, const std::string&) {
    peer.send(std::string(ok_head) + std::string(chunked) + chunk(bytes));
    peer.wait_for_close();
  });
  auto options = hasty();
  options.frame_limit = 1000;
  Recorder recorder;
  Reflector reflector(watched_services(), server.access(), recorder, recorder.warner(), options);
  reflector.start();
  CHECK_FALSE(recorder.wait_for_warning(reason).empty());
  CHECK(server.wait_for_requests(2, deadline));
  reflector.stop();
  for (const auto& text : recorder.wait(1)) CHECK(text == "ReplaceBegin Service");
  CHECK_FALSE(reflector.status().synced);
}

TEST_CASE("hostile lists are told about, and never end a replacement") {
  const auto body =
      GENERATE(as<std::string>{}, "", "[]", "{}", "{\"items\":[{}]}", "{\"items\":[{\"metadata\":{\"name\":\"a\"",
               "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"spec\":{}}]}", "null");
  RawServer server([&](const RawServer::Peer& peer, const std::string& head) {
    if (head.find("watch=true") != std::string::npos)
      peer.send("HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n");
    else
      peer.send(std::string(ok_head) + fmt::format("Content-Length: {}\r\n\r\n", body.size()) + body);
  });
  Recorder recorder;
  Reflector reflector(watched_services(), server.access(), recorder, recorder.warner(), hasty());
  reflector.start();
  CHECK_FALSE(recorder.wait_for_warning("list services").empty());
  CHECK(server.wait_for_requests(4, deadline));
  reflector.stop();
  for (const auto& text : recorder.wait(1)) CHECK(text == "ReplaceBegin Service");
  CHECK_FALSE(reflector.status().synced);
}
