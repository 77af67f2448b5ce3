// ServiceCIDR objects, from bytes and from the API server's stand-in.
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "daemon/source/service_cidr_watch.hpp"
#include "daemon/source/service_cidrs.hpp"
#include "test/unit/api_support.hpp"

using namespace ipvsd;

namespace {

std::vector<std::string> texts(const Result<std::vector<Cidr>>& cidrs) {
  std::vector<std::string> all;
  if (!cidrs) return {cidrs.error().message()};
  for (const auto& cidr : *cidrs) all.push_back(cidr.to_string());
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the CIDRs of all ServiceCIDR objects") {
  CHECK(texts(decode_service_cidrs(R"({"kind": "ServiceCIDRList", "items": []})")).empty());
  CHECK(texts(decode_service_cidrs(R"({"kind": "ServiceCIDRList"})")).empty());
  CHECK(texts(decode_service_cidrs(R"({"kind": "ServiceCIDRList", "apiVersion": "networking.k8s.io/v1", "items": [
    {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]}},
    {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/24"]}},
    {"metadata": {"name": "none"}, "spec": {}}]})")) == Texts{"10.96.0.0/16", "fd00:10:96::/112", "10.97.0.0/24"});
}

TEST_CASE("what is no list of ServiceCIDRs is refused") {
  for (const auto* text :
       {"", "[]", "{", R"({"items": 7})", R"({"items": [7]})", R"({"items": [{"spec": []}]})",
        R"({"items": [{"spec": {"cidrs": "10.96.0.0/16"}}]})", R"({"items": [{"spec": {"cidrs": ["10.96.0.0"]}}]})",
        R"({"items": [{"spec": {"cidrs": [1]}}]})"}) {
    INFO(text);
    const auto read = decode_service_cidrs(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::malformed);
  }
}

TEST_CASE("an API server is asked, and what it refuses is told apart from what may come later") {
  std::string head;
  std::string body;
  fake::RawServer server([&](const fake::RawServer::Peer& peer, const std::string& asked) {
    CHECK(asked.starts_with("GET /apis/networking.k8s.io/v1/servicecidrs HTTP/1.1\r\n"));
    peer.send(head + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body);
  });
  head = "HTTP/1.1 200 OK";
  body = R"({"items": [{"spec": {"cidrs": ["10.96.0.0/16"]}}]})";
  CHECK(texts(read_service_cidrs(server.access())) == Texts{"10.96.0.0/16"});
  body = "{}";
  head = "HTTP/1.1 404 Not Found";
  auto refused = read_service_cidrs(server.access());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unsupported);
  CHECK(refused.error().message().find("1.33") != std::string::npos);
  head = "HTTP/1.1 403 Forbidden";
  refused = read_service_cidrs(server.access());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::denied);
  CHECK(refused.error().message().find("servicecidrs.networking.k8s.io") != std::string::npos);
  head = "HTTP/1.1 503 Service Unavailable";
  refused = read_service_cidrs(server.access());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::busy);
}

TEST_CASE("CIDRs that have become others are noticed once, and errors are no change") {
  std::mutex mutex;
  std::string head = "HTTP/1.1 200 OK";
  std::string body = R"({"items": [{"spec": {"cidrs": ["fd00:10:96::/112", "10.96.0.0/16"]}}]})";
  int asked = 0;
  int changes = 0;
  std::condition_variable progress;
  fake::RawServer server([&](const fake::RawServer::Peer& peer, const std::string&) {
    std::unique_lock lock(mutex);
    ++asked;
    progress.notify_all();
    const auto answer =
        head + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    lock.unlock();
    peer.send(answer);
  });
  ServiceCidrWatch watch(server.access(), {*Cidr::parse("10.96.0.0/16"), *Cidr::parse("fd00:10:96::/112")},
                         std::chrono::milliseconds(1), [&] {
                           const std::lock_guard lock(mutex);
                           ++changes;
                           progress.notify_all();
                         });
  std::unique_lock lock(mutex);
  const auto asks_more = [&](int more) {
    const int before = asked;
    return progress.wait_for(lock, std::chrono::seconds(20), [&] { return asked >= before + more; });
  };
  REQUIRE(asks_more(3));  // in another order
  head = "HTTP/1.1 404 Not Found";
  REQUIRE(asks_more(3));
  head = "HTTP/1.1 200 OK";
  body = R"({"items": [{"spec": {"cidrs": [7]}}]})";
  REQUIRE(asks_more(3));
  CHECK(changes == 0);
  CHECK_FALSE(watch.has_changed());
  body = R"({"items": [{"spec": {"cidrs": ["10.96.0.0/16"]}}]})";
  REQUIRE(progress.wait_for(lock, std::chrono::seconds(20), [&] { return changes == 1; }));
  CHECK(watch.has_changed());
}

TEST_CASE("a watch for CIDRs ends at once, whatever the server does") {
  std::atomic<bool> asked = false;
  fake::RawServer server([&](const fake::RawServer::Peer& peer, const std::string&) {
    asked = true;
    peer.wait_for_close();
  });
  {
    const ServiceCidrWatch watch(server.access(), {}, std::chrono::milliseconds(1), [] {});
    while (!asked) std::this_thread::yield();
  }
  const ServiceCidrWatch idle(server.access(), {}, std::chrono::hours(1), [] {});
}
