#include <catch2/catch.hpp>

#include <httplib.h>

#include <thread>

#include "ctl/ui_server.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

// A server that says what it is asked.
class Served {
 public:
  explicit Served(std::string token)
      : server_({[] { return Result<std::string>("{\"services\":[]}"); },
                 [](const std::string& name) -> Result<std::string> {
                   if (name != "default/web") return fail(Errc::not_found, "no such Service");
                   return "{}";
                 },
                 []() -> Result<std::string> { return fail(Errc::not_found, "no kube-ipvsd \"here\""); }},
                std::move(token)),
        port_(server_.bind({"127.0.0.1", 0}).value()),
        thread_([this] { server_.run(); }) {}
  ~Served() {
    // Not before it listens: a stop that comes earlier is lost.
    (void)client().Get("/");
    server_.stop();
    thread_.join();
  }
  [[nodiscard]] httplib::Client client() const { return httplib::Client("127.0.0.1", port_); }

 private:
  UiServer server_;
  std::uint16_t port_;
  std::thread thread_;
};

int status_of(const httplib::Result& result) { return result ? result->status : -1; }

}  // namespace

TEST_CASE("the page and what it asks for") {
  const Served served("");
  auto client = served.client();
  const auto page = client.Get("/");
  REQUIRE(page);
  CHECK(page->status == 200);
  CHECK(page->get_header_value("Content-Security-Policy").find("default-src 'none'") == 0);
  CHECK(page->body.find("<title>kube-ipvs</title>") != std::string::npos);
  // Self-contained.
  CHECK(page->body.find("http://") == std::string::npos);
  CHECK(page->body.find("https://") == std::string::npos);
  CHECK(page->body.find("src=") == std::string::npos);
  CHECK(client.Get("/api/services")->body == "{\"services\":[]}");
  CHECK(status_of(client.Get("/api/endpoints?service=default%2Fweb")) == 200);
  CHECK(status_of(client.Get("/api/endpoints?service=none")) == 404);
  CHECK(status_of(client.Get("/api/endpoints")) == 400);
  CHECK(status_of(client.Get(("/api/endpoints?service=" + std::string(700, 'a')).c_str())) == 400);
  CHECK(client.Get("/api/status")->body == "{\"error\":\"no kube-ipvsd \\\"here\\\"\"}");
  CHECK(status_of(client.Get("/else")) == 404);
}

TEST_CASE("nothing but reading, and from this machine only") {
  const Served served("");
  auto client = served.client();
  CHECK(status_of(client.Post("/api/services", "{}", "application/json")) == 405);
  CHECK(status_of(client.Delete("/")) == 405);
  CHECK(status_of(client.Get("/api/services", {{"Host", "evil.example:8080"}})) == 403);
  CHECK(status_of(client.Get("/", {{"Host", "evil.example"}})) == 403);
  CHECK(status_of(client.Get("/", {{"Host", "localhost:1"}})) == 200);
}

TEST_CASE("with a token, only who has it") {
  const Served served("secret");
  auto client = served.client();
  CHECK(status_of(client.Get("/", {{"Host", "node.example"}})) == 200);
  CHECK(status_of(client.Get("/api/services")) == 401);
  CHECK(status_of(client.Get("/api/services", {{"Authorization", "Bearer secre"}})) == 401);
  CHECK(status_of(client.Get("/api/services", {{"Authorization", "Bearer secret"}})) == 200);
}

TEST_CASE("places and hosts") {
  CHECK(parse_place("127.0.0.1:8080") == UiPlace{"127.0.0.1", 8080});
  CHECK(parse_place("[::1]:80") == UiPlace{"::1", 80});
  for (const auto* text : {"", "8080", "localhost:8080", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:80x", "[::1]"})
    CHECK_FALSE(parse_place(text));
  CHECK(is_loopback({"127.0.0.1", 1}));
  CHECK(is_loopback({"::1", 1}));
  CHECK_FALSE(is_loopback({"0.0.0.0", 1}));
  for (const auto* host : {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"}) CHECK(names_loopback(host));
  for (const auto* host : {"", "localhost.example", "10.0.0.1", "[::2]:80", "127.0.0.1.example"})
    CHECK_FALSE(names_loopback(host));
  CHECK(make_token().value().size() == 32);
  CHECK(make_token().value() != make_token().value());
}

TEST_CASE("a port that another page has is not shared with it") {
  UiServer first({}, "");
  const auto port = first.bind({"127.0.0.1", 0});
  REQUIRE(port);
  UiServer second({}, "");
  const auto refused = second.bind({"127.0.0.1", *port});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("say another with --listen") != std::string::npos);
}
