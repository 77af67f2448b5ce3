#include <catch2/catch.hpp>

#include <random>

#include "ctl/top.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

nl::VirtualServerRecord record(std::string_view address, std::uint16_t port, std::uint64_t rate, std::uint64_t bytes) {
  nl::VirtualServerRecord result;
  result.server.key = {ip(address), Protocol::tcp, Port{port}, 0};
  result.statistics.connection_rate = rate;
  result.statistics.in_byte_rate = bytes;
  return result;
}

Names names() {
  Names result;
  Service web;
  web.key = {"default", "web"};
  web.cluster_ips = {ip("10.96.0.1")};
  web.ports = {{"http", Protocol::tcp, Port{80}, {}}, {"https", Protocol::tcp, Port{443}, {}}};
  result.add(web);
  return result;
}

// Two of web, one that has no name.
std::vector<TopService> example() {
  const ServerRecords records{record("10.96.0.1", 80, 5, 10), record("10.96.0.1", 443, 6, 20),
                              record("10.96.0.9", 80, 10, 40)};
  return top_services(records, names());
}

std::vector<std::string> labels(const std::vector<TopService>& services) {
  std::vector<std::string> result;
  for (const auto& service : services) result.push_back(service.label);
  return result;
}

TopState after(std::string_view typed, TopState state = {}) {
  const auto services = example();
  while (!typed.empty()) state.press(take_key(typed), services);
  return state;
}

}  // namespace

TEST_CASE("virtual servers add up to Services, in the order that is asked for") {
  auto services = example();
  REQUIRE(services.size() == 2);
  sort_services(services, TopOrder::connections);
  CHECK(labels(services) == std::vector<std::string>{"default/web", "10.96.0.9:80/TCP"});
  CHECK(services[0].sum.connection_rate == 11);
  CHECK(services[0].servers.size() == 2);
  sort_services(services, TopOrder::bytes);
  CHECK(labels(services) == std::vector<std::string>{"10.96.0.9:80/TCP", "default/web"});
  sort_services(services, TopOrder::name);
  CHECK(labels(services) == std::vector<std::string>{"10.96.0.9:80/TCP", "default/web"});
  CHECK(labels(searched(services, "web")) == std::vector<std::string>{"default/web"});
  CHECK(parse_top_order("packets") == TopOrder::packets);
  CHECK_FALSE(parse_top_order("weight"));
}

TEST_CASE("keys") {
  const std::vector<std::pair<std::string_view, KeyPress>> cases{
      {"\033[A", {Key::up}},      {"\033OB", {Key::down}},     {"\033[5~", {Key::page_up}}, {"\033", {Key::escape}},
      {"\r", {Key::enter}},       {"\177", {Key::erase}},      {"q", {Key::other, 'q'}},    {"\033[99;1~", {Key::none}},
      {"\033[1;5C", {Key::none}}, {"\x03", {Key::other, 'q'}}, {"\xff", {Key::none}}};
  for (auto [text, press] : cases) {
    CHECK(take_key(text) == press);
    CHECK(text.empty());
  }
}

TEST_CASE("what keys do") {
  CHECK(after("q").quit);
  CHECK(after("j").cursor == 1);
  CHECK(after("jjjj").cursor == 1);
  CHECK(after("jk").cursor == 0);
  CHECK(after("\033[F").cursor == 1);
  CHECK(after("p").order == TopOrder::packets);
  CHECK(after(" ").unfolded.contains("10.96.0.9:80/TCP"));
  CHECK(after("  ").unfolded.empty());
  CHECK(after("/web\r").search == "web");
  CHECK_FALSE(after("/web\r").searching);
  CHECK(after("/q").searching);
  CHECK_FALSE(after("/q").quit);
  CHECK(after("/web\033").search.empty());
  CHECK(after("/we\177b").search == "wb");
  CHECK(after("h").help);
  CHECK_FALSE(after("hh").help);
}

TEST_CASE("random typing keeps cursor and rows within bounds") {
  std::mt19937 random(20);
  TopState state;
  const auto services = example();
  for (int i = 0; i < 20000; ++i) {
    std::string typed;
    for (auto n = 1 + random() % 6; n > 0; --n) typed += static_cast<char>(random());
    if (random() % 3 == 0) typed.insert(0, "\033[");
    std::string_view rest(typed);
    while (!rest.empty()) state.press(take_key(rest), services);
    state.rows = random() % 5;
    settle(state, services.size());
    REQUIRE(state.cursor < services.size());
    REQUIRE(state.first <= state.cursor);
    REQUIRE(!top_screen(state, services, {}, {false, 80}).empty());
  }
}

TEST_CASE("a screen fits the terminal and unfolds endpoints") {
  auto services = example();
  sort_services(services, TopOrder::connections);
  const TopEndpoints endpoints{
      {"default/web", {{"10.1.0.1:80", "default/web-1", 1, 2, 3, {}}, {"10.1.0.2:80", "default/web-2", 0, 2, 3, {}}}}};
  TopState state;
  state.unfolded = {"default/web"};
  for (const std::size_t width : {40U, 80U, 140U}) {
    auto screen = top_screen(state, services, endpoints, {false, width});
    INFO(screen);
    CHECK(screen.find("2 Services, 21 conn/s") == 0);
    CHECK(screen.find("\n  10.1.0.1:80 ") != std::string::npos);
    CHECK((width < 100 || screen.find("draining  default/web-2") != std::string::npos));
    for (auto at = screen.find("…"); at != std::string::npos; at = screen.find("…")) screen.replace(at, 3, ".");
    while (!screen.empty()) {
      CHECK(screen.find('\n') <= width);
      screen.erase(0, screen.find('\n') + 1);
    }
  }
  state.rows = 2;
  CHECK(top_screen(state, services, endpoints, {false, 80}).find("10.1.0.2") == std::string::npos);
  CHECK(top_table(services, endpoints, {}).find("10.1.0.2:80") != std::string::npos);
}
