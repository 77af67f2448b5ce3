// A configuration file that changes: in place, by a rename, by the swap of a link as in a mounted ConfigMap.
#include <catch2/catch.hpp>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "daemon/config/config_watch.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& scheduler) {
  return "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nipvs: {scheduler: " + scheduler +
         "}\n";
}

void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

struct Watched {
  Watched() {
    char name[] = "/tmp/config-watch.XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    directory = name;
  }
  ~Watched() {
    watch.reset();
    fs::remove_all(directory);
  }
  void start(const fs::path& path, const std::string& text, std::chrono::milliseconds period = 1h) {
    watch.emplace(
        path.string(), text,
        [this] {
          const std::lock_guard lock(mutex);
          changed = true;
          condition.notify_all();
        },
        [this](const std::string& warning) {
          const std::lock_guard lock(mutex);
          warnings.push_back(warning);
          condition.notify_all();
        },
        period);
  }
  bool wait_for_change() {
    std::unique_lock lock(mutex);
    return condition.wait_for(lock, 10s, [this] { return changed; }) && watch->has_changed();
  }
  bool wait_for_warnings(std::size_t count) {
    std::unique_lock lock(mutex);
    return condition.wait_for(lock, 10s, [&] { return warnings.size() >= count; });
  }

  fs::path directory;
  std::mutex mutex;
  std::condition_variable condition;
  bool changed = false;
  std::vector<std::string> warnings;
  std::optional<ConfigWatch> watch;
};

}  // namespace

TEST_CASE("a file that is written or replaced has changed") {
  Watched watched;
  const auto path = watched.directory / "config.yaml";
  write(path, text_of("rr"));
  watched.start(path, text_of("rr"));
  SECTION("written") { write(path, text_of("sh")); }
  SECTION("replaced") {
    write(watched.directory / "new", text_of("sh"));
    fs::rename(watched.directory / "new", path);
  }
  SECTION("removed, and made anew") {
    fs::remove(path);
    write(path, text_of("sh"));
  }
  CHECK(watched.wait_for_change());
}

TEST_CASE("what changed between the reading and the watch counts") {
  Watched watched;
  const auto path = watched.directory / "config.yaml";
  write(path, text_of("sh"));
  watched.start(path, text_of("rr"));
  CHECK(watched.wait_for_change());
}

TEST_CASE("a ConfigMap changes by the swap of a link") {
  Watched watched;
  const auto& base = watched.directory;
  fs::create_directory(base / "..1");
  write(base / "..1" / "config.yaml", text_of("rr"));
  fs::create_directory_symlink("..1", base / "..data");
  fs::create_symlink("..data/config.yaml", base / "config.yaml");
  const auto directories = directories_of((base / "config.yaml").string());
  CHECK(std::find(directories.begin(), directories.end(), base.string()) != directories.end());
  CHECK(std::find(directories.begin(), directories.end(), (base / "..1").string()) != directories.end());

  watched.start(base / "config.yaml", text_of("rr"));
  const auto swap = [&](const std::string& name, const std::string& text) {
    fs::create_directory(base / name);
    write(base / name / "config.yaml", text);
    fs::create_directory_symlink(name, base / "..data_tmp");
    fs::rename(base / "..data_tmp", base / "..data");
  };
  // The same content again, as when another key of the ConfigMap changes; and then an invalid one, to see that it was
  // looked at.
  swap("..2", text_of("rr"));
  fs::remove_all(base / "..1");
  swap("..3", "mode: iptables\n");
  REQUIRE(watched.wait_for_warnings(4));
  CHECK_FALSE(watched.watch->has_changed());
  CHECK_THAT(watched.warnings[0], Catch::StartsWith((base / "config.yaml").string() + ":1: mode: expected ipvs"));
  CHECK_THAT(watched.warnings[3], Catch::Contains("kept running with what it was"));
  swap("..4", text_of("sh"));
  CHECK(watched.wait_for_change());
}

TEST_CASE("where nothing is notified, the file is looked at now and then") {
  Watched watched;
  const auto elsewhere = watched.directory / "elsewhere";
  const auto path = watched.directory / "config.yaml";
  write(path, text_of("rr"));
  watched.start(path, text_of("rr"), 1ms);
  // A hard link: written to under another name and in another directory.
  fs::create_directory(elsewhere);
  fs::create_hard_link(path, elsewhere / "other");
  write(elsewhere / "other", text_of("sh"));
  CHECK(watched.wait_for_change());
}

TEST_CASE("loops of links end") {
  Watched watched;
  fs::create_symlink("b", watched.directory / "a");
  fs::create_symlink("a", watched.directory / "b");
  CHECK(directories_of((watched.directory / "a").string()).size() <= 2);
  watched.start(watched.directory / "a", "");
}
