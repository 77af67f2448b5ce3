// What a real API server said, byte for byte. Skipped, with a message, where the recordings are not there.
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "daemon/source/decode.hpp"

using namespace ipvsd;
namespace fs = std::filesystem;

namespace {

const fs::path recordings = fs::path(SHARED_DIR) / "apiserver-recordings";

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool have_recordings() {
  if (fs::exists(recordings)) return true;
  WARN("skipped: no " << recordings);
  return false;
}

Kind kind_of_file(const std::string& name) {
  if (name.starts_with("endpointslices")) return Kind::endpoint_slice;
  return name.starts_with("node") ? Kind::node : Kind::service;
}

std::vector<fs::path> files(const std::string& extension) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(recordings))
    if (entry.path().extension() == extension) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

struct List {
  std::vector<std::string> items;
  Result<ListReader::ListMeta> meta;
};

List read_list(const std::string& text) {
  std::vector<std::string> items;
  ListReader reader([&](std::string_view item) { items.emplace_back(item); });
  const auto fed = reader.feed(text);
  auto meta = reader.finish();
  if (!fed) meta = fail(fed.error());
  return {items, meta};
}

Service service_of(const std::string& file, const std::string& name) {
  Decoder decoder;
  for (const auto& item : read_list(read_file(recordings / file)).items) {
    const auto decoded = decoder.object(Kind::service, item);
    REQUIRE(decoded);
    if (key_of(decoded->object).name == name) return std::get<Service>(decoded->object);
  }
  FAIL("no Service " << name << " in " << file);
  return {};
}

std::vector<std::string> texts(const std::vector<IpAddress>& addresses) {
  std::vector<std::string> all;
  for (const auto& address : addresses) all.push_back(address.to_string());
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("every recorded list decodes without a warning") {
  if (!have_recordings()) return;
  Decoder decoder;
  for (const auto& file : files(".json")) {
    const auto list = read_list(read_file(file));
    INFO(file.filename());
    const auto head = read_file(fs::path(file).replace_extension(".headers"));
    REQUIRE(list.meta.has_value() == head.starts_with("HTTP/1.1 200"));
    if (!list.meta) {
      CHECK(decoder.status_text(read_file(file)).find(" (" + head.substr(9, 3) + ")") != std::string::npos);
      continue;
    }
    CHECK(!list.items.empty());
    CHECK(!list.meta->resource_version.empty());
    for (const auto& item : list.items) {
      const auto decoded = decoder.object(kind_of_file(file.filename().string()), item);
      REQUIRE(decoded);
      CHECK(decoded->warnings.empty());
    }
  }
}

TEST_CASE("every recorded watch decodes") {
  if (!have_recordings()) return;
  Decoder decoder;
  for (const auto& file : files(".ndjson"))
    for (const auto& line : lines(read_file(file))) {
      const auto frame = decoder.watch_frame(kind_of_file(file.filename().string()), line);
      INFO(file.filename() << ": " << line);
      REQUIRE(frame);
      if (frame->type == WatchFrame::Type::error) {
        CHECK(frame->status_code == 410);
        CHECK(frame->status_message.starts_with("Expired: too old resource version"));
        continue;
      }
      CHECK(!frame->resource_version.empty());
      if (frame->type == WatchFrame::Type::bookmark) continue;
      REQUIRE(frame->object);
      REQUIRE(*frame->object);
      CHECK(frame->key == key_of((*frame->object)->object));
    }
}

TEST_CASE("a watch-list says where the initial objects end") {
  if (!have_recordings()) return;
  Decoder decoder;
  std::size_t before = 0;
  std::size_t ends = 0;
  for (const auto& line : lines(read_file(recordings / "services-watchlist.ndjson"))) {
    const auto frame = decoder.watch_frame(Kind::service, line);
    REQUIRE(frame);
    if (frame->initial_events_end) ++ends;
    if (ends == 0) {
      CHECK(frame->type == WatchFrame::Type::added);
      ++before;
    }
  }
  CHECK(ends == 1);
  CHECK(before == 10);
}

TEST_CASE("pages of a list are chained by their tokens") {
  if (!have_recordings()) return;
  std::size_t items = 0;
  for (int page = 1; page <= 4; ++page) {
    const auto list = read_list(read_file(recordings / ("services-list-page" + std::to_string(page) + ".json")));
    REQUIRE(list.meta);
    CHECK(list.meta->resource_version == "7419");
    CHECK(list.meta->continue_token.empty() == (page == 4));
    items += list.items.size();
  }
  CHECK(items == read_list(read_file(recordings / "services-list-plain.json")).items.size());
}

TEST_CASE("recorded Services are what they say") {
  if (!have_recordings()) return;
  const std::string all = "services-list-plain.json";
  const auto dual6 = service_of(all, "dual6");
  CHECK(texts(dual6.cluster_ips) == Texts{"fd00:10:96::b2", "10.96.110.2"});
  CHECK(texts(dual6.load_balancer_ips) == Texts{"203.0.113.110", "2001:db8:113::110"});
  CHECK(dual6.type == ServiceType::load_balancer);
  CHECK(dual6.uid == "7c39f1f7-5308-4be4-94b2-3e98ff24859b");
  CHECK(dual6.created.time_since_epoch() == std::chrono::seconds(1795169553));
  CHECK(dual6.ports == std::vector<ServicePort>{{"dns", Protocol::udp, Port{53}, Port{30112}}});

  CHECK(service_of(all, "alias").type == ServiceType::external_name);
  CHECK(service_of(all, "alias").cluster_ips.empty());
  CHECK(service_of(all, "headless").cluster_ips.empty());
  CHECK(texts(service_of(all, "direct").load_balancer_ips) == Texts{"203.0.113.11", "203.0.113.12"});
  CHECK(service_of(all, "shop").ports == std::vector<ServicePort>{{"", Protocol::tcp, Port{80}, Port{30080}}});
}

TEST_CASE("the recorded Node is what it says") {
  if (!have_recordings()) return;
  Decoder decoder;
  const auto list = read_list(read_file(recordings / "node-list-field-selector.json"));
  REQUIRE(list.items.size() == 1);
  const auto decoded = decoder.object(Kind::node, list.items[0]);
  REQUIRE(decoded);
  const auto& node = std::get<Node>(decoded->object);
  CHECK(node.name == "lab-node");
  CHECK(node.zone == "zone-a");
  CHECK(node.eligible);
  CHECK(texts(node.addresses) == Texts{"192.168.77.2", "fd00:77::2"});
  REQUIRE(node.pod_cidrs.size() == 2);
  CHECK(node.pod_cidrs[1].to_string() == "fd00:10:244:1::/64");
}

TEST_CASE("recordings cut short anywhere, or with flipped bytes, are errors at worst") {
  if (!have_recordings()) return;
  Decoder decoder;
  constexpr unsigned seed = 20261120;
  std::mt19937 random(seed);
  INFO("seed " << seed);
  const auto feed = [&](Kind kind, const std::string& text) {
    ListReader reader([&](std::string_view item) { (void)decoder.object(kind, item); });
    (void)reader.feed(text);
    return reader.finish().has_value();
  };
  for (const auto* name :
       {"services-list-page1.json", "endpointslices-list-page4.json", "node-list-field-selector.json"}) {
    const auto text = read_file(recordings / name);
    const auto end = text.find_last_of('}');
    std::size_t finished = 0;
    for (std::size_t size = 0; size <= end; ++size) finished += feed(kind_of_file(name), text.substr(0, size));
    CHECK(finished == 0);
    for (int round = 0; round < 3000; ++round) {
      auto flipped = text;
      for (int i = 0; i < 3; ++i) flipped[random() % flipped.size()] = static_cast<char>(random());
      (void)feed(kind_of_file(name), flipped);
    }
  }
  for (const auto* name : {"services-watch.ndjson", "endpointslices-watch.ndjson"})
    for (const auto& line : lines(read_file(recordings / name))) {
      for (std::size_t size = 0; size + 1 < line.size(); ++size)
        REQUIRE_FALSE(decoder.watch_frame(kind_of_file(name), std::string_view(line).substr(0, size)));
      for (int round = 0; round < 200; ++round) {
        auto flipped = line;
        for (int i = 0; i < 3; ++i) flipped[random() % flipped.size()] = static_cast<char>(random());
        (void)decoder.watch_frame(kind_of_file(name), flipped);
      }
    }
}
