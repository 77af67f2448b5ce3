#include <catch2/catch.hpp>

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <new>
#include <set>

#include "daemon/source/manifest_source.hpp"
#include "test/unit/no_descriptors.hpp"

using namespace ipvsd;
namespace fs = std::filesystem;

namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = fs::temp_directory_path() / "manifests-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Applies events like the loop: text of each object by its name; counts replacements.
class Cluster final : public EventSink {
 public:
  void push(std::vector<ClusterEvent> events) override {
    const std::lock_guard lock(mutex_);
    if (failures_ > 0) {
      --failures_;
      throw std::bad_alloc();
    }
    for (const auto& event : events) {
      if (const auto* upsert = std::get_if<Upsert>(&event)) {
        state_[key_of(upsert->object).to_string()] = text(upsert->object);
        mentioned_.insert(key_of(upsert->object).to_string());
      }
      if (const auto* begin = std::get_if<ReplaceBegin>(&event); begin && begin->kind == Kind::service)
        mentioned_.clear();
      // The kinds come in one push, this one last.
      if (const auto* end = std::get_if<ReplaceEnd>(&event); end && end->kind == Kind::node)
        std::erase_if(state_, [this](const auto& item) { return !mentioned_.contains(item.first); });
      if (const auto* remove = std::get_if<Remove>(&event)) state_.erase(remove->key.to_string());
      if (std::holds_alternative<Keep>(event)) ++unread_;
      if (const auto* remove = std::get_if<Remove>(&event); remove && remove->key.ns.empty()) --unread_;
      if (std::holds_alternative<ReplaceEnd>(event)) ++replaced_;
    }
    changed_.notify_all();
  }
  void warn(std::string line) {
    const std::lock_guard lock(mutex_);
    warnings_ += line + "\n";
    changed_.notify_all();
  }
  // Also for what the source itself says, which comes behind the events that it pushes and is not announced.
  bool wait(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(20), condition))
      if (std::chrono::steady_clock::now() >= deadline) return false;
    return true;
  }
  // "default/a=10.0.0.1 default/b=10.0.0.2 "
  bool becomes(const std::string& expected, int replaced = 3) {
    const bool met = wait([&] { return replaced_ == replaced && joined() == expected; });
    const std::lock_guard lock(mutex_);
    if (!met) UNSCOPED_INFO("state: " << joined() << " warnings: " << warnings_);
    return met;
  }
  // So many find no memory.
  void fail_pushes(int times) {
    const std::lock_guard lock(mutex_);
    failures_ = times;
  }
  // What exists and could not be read: a Keep for each kind.
  bool unread_becomes(int expected) {
    return wait([&] { return replaced_ == 3 && unread_ == expected; });
  }
  bool warns(const std::string& text) {
    return wait([&] { return warnings_.find(text) != std::string::npos; });
  }
  int warnings() {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::count(warnings_.begin(), warnings_.end(), '\n'));
  }

 private:
  static std::string text(const Object& object) {
    const auto* service = std::get_if<Service>(&object);
    return service != nullptr && !service->cluster_ips.empty() ? service->cluster_ips[0].to_string() : "-";
  }
  [[nodiscard]] std::string joined() const {
    std::string all;
    for (const auto& [key, value] : state_) all += fmt::format("{}={} ", key, value);
    return all;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> state_;
  std::set<std::string> mentioned_;
  std::string warnings_;
  int failures_ = 0;
  int replaced_ = 0;
  int unread_ = 0;
};

std::string service(const std::string& name, const std::string& address) {
  return fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec: {{clusterIP: {}}}\n---\n", name,
                     address);
}

void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

struct Fixture {
  TemporaryDirectory temporary;
  fs::path directory = temporary.path() / "m";
  Cluster cluster;
  std::unique_ptr<ManifestSource> source;

  void start() {
    source = std::make_unique<ManifestSource>(directory, cluster,
                                              [this](std::string line) { cluster.warn(std::move(line)); });
    source->start();
  }
};

}  // namespace

TEST_CASE("an empty directory is a complete answer") {
  Fixture fixture;
  fs::create_directory(fixture.directory);
  fixture.start();
  CHECK(fixture.cluster.becomes(""));
  CHECK(fixture.cluster.wait([&] { return fixture.source->status()[0].synced; }));
  CHECK(fixture.source->status()[0].connected);
  fixture.source->stop();
  fixture.source->stop();
}

TEST_CASE("files appear, change, move and go") {
  Fixture fixture;
  const auto& dir = fixture.directory;
  auto& cluster = fixture.cluster;
  fs::create_directory(dir);
  write(dir / "a.yaml", service("a", "10.0.0.1") + service("b", "10.0.0.2"));
  write(dir / ".hidden.yaml", service("h", "10.0.0.9"));
  write(dir / "a.yaml~", service("t", "10.0.0.9"));
  fixture.start();
  CHECK(cluster.becomes("default/a=10.0.0.1 default/b=10.0.0.2 "));
  write(dir / "a.yaml", service("a", "10.0.0.3"));
  CHECK(cluster.becomes("default/a=10.0.0.3 "));
  write(dir / "c.json",
        R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"c"},"spec":{"clusterIP":"10.0.0.4"}})");
  CHECK(cluster.becomes("default/a=10.0.0.3 default/c=10.0.0.4 "));
  // As editors do: write beside it, and rename over it.
  write(dir / "a.yaml.tmp", service("a", "10.0.0.5"));
  fs::rename(dir / "a.yaml.tmp", dir / "a.yaml");
  CHECK(cluster.becomes("default/a=10.0.0.5 default/c=10.0.0.4 "));
  fs::rename(dir / "a.yaml", dir / "z.yml");
  write(dir / "z.yml", service("a", "10.0.0.6"));
  CHECK(cluster.becomes("default/a=10.0.0.6 default/c=10.0.0.4 "));
  fs::remove(dir / "z.yml");
  CHECK(cluster.becomes("default/c=10.0.0.4 "));
}

TEST_CASE("a malformed file keeps what it defined before") {
  Fixture fixture;
  const auto& dir = fixture.directory;
  fs::create_directory(dir);
  write(dir / "a.yaml", service("a", "10.0.0.1"));
  fixture.start();
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 "));
  write(dir / "a.yaml", "a: {\n");
  CHECK(fixture.cluster.warns("a.yaml:2: "));
  write(dir / "a.yaml",
        service("b", "10.0.0.2") + "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: 7}}\n");
  CHECK(fixture.cluster.warns("a.yaml:6: Service default/a: spec.ports: expected a list, got 7"));
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 default/b=10.0.0.2 "));
  CHECK(fixture.source->status()[0].rejected == 1);
}

TEST_CASE("a file that cannot be read at the start proves no absence, until it can be") {
  Fixture fixture;
  fs::create_directory(fixture.directory);
  write(fixture.directory / "a.yaml", service("a", "10.0.0.1"));
  write(fixture.directory / "b.yaml", "spec: [\n");
  fixture.start();
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 "));
  CHECK(fixture.cluster.unread_becomes(2));
  write(fixture.directory / "b.yaml", service("b", "10.0.0.2"));
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 default/b=10.0.0.2 "));
  CHECK(fixture.cluster.unread_becomes(0));
  // Broken later, it keeps what it defined, and is no news.
  write(fixture.directory / "b.yaml", "spec: [\n");
  CHECK(fixture.cluster.warns("what the file defined before stays"));
  CHECK(fixture.cluster.unread_becomes(0));
}

TEST_CASE("a file is read when its writer closes it, not before") {
  Fixture fixture;
  const auto& dir = fixture.directory;
  fs::create_directory(dir);
  write(dir / "a.yaml", service("a", "10.0.0.1") + service("b", "10.0.0.2"));
  fixture.start();
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 default/b=10.0.0.2 "));
  {
    std::ofstream slow(dir / "a.yaml");
    slow << service("a", "10.0.0.3") << std::flush;
    // Another file's change makes the directory be read meanwhile.
    write(dir / "c.yaml", service("c", "10.0.0.4"));
    CHECK(fixture.cluster.becomes("default/a=10.0.0.1 default/b=10.0.0.2 default/c=10.0.0.4 "));
    slow << service("b", "10.0.0.5");
  }
  CHECK(fixture.cluster.becomes("default/a=10.0.0.3 default/b=10.0.0.5 default/c=10.0.0.4 "));
}

TEST_CASE("a ConfigMap's mount is swapped as a whole") {
  Fixture fixture;
  const auto& dir = fixture.directory;
  fs::create_directories(dir / "..1");
  write(dir / "..1" / "a.yaml", service("a", "10.0.0.1"));
  write(dir / "..1" / "b.yaml", service("b", "10.0.0.2"));
  fs::create_symlink("..1", dir / "..data");
  fs::create_symlink("..data/a.yaml", dir / "a.yaml");
  fs::create_symlink("..data/b.yaml", dir / "b.yaml");
  fixture.start();
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 default/b=10.0.0.2 "));
  fs::create_directory(dir / "..2");
  write(dir / "..2" / "a.yaml", service("a", "10.0.0.3"));
  fs::create_symlink("..2", dir / "..data_tmp");
  fs::rename(dir / "..data_tmp", dir / "..data");
  CHECK(fixture.cluster.becomes("default/a=10.0.0.3 "));
}

TEST_CASE("a directory that is missing is waited for; one that was replaced is read anew") {
  Fixture fixture;
  const auto& dir = fixture.directory;
  fixture.start();
  CHECK(fixture.cluster.warns("m: not found (ENOENT)"));
  CHECK_FALSE(fixture.source->status()[0].synced);
  fs::create_directory(dir.string() + ".new");
  write(dir.string() + ".new/a.yaml", service("a", "10.0.0.1"));
  fs::rename(dir.string() + ".new", dir);
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 "));
  fs::create_directory(dir.string() + ".new");
  write(dir.string() + ".new/b.yaml", service("b", "10.0.0.2"));
  fs::rename(dir, dir.string() + ".old");
  CHECK(fixture.cluster.warns("removed or replaced"));
  CHECK(fixture.cluster.becomes("default/a=10.0.0.1 "));
  fs::rename(dir.string() + ".new", dir);
  CHECK(fixture.cluster.becomes("default/b=10.0.0.2 "));
}

TEST_CASE("what is no regular file is not waited on") {
  Fixture fixture;
  fs::create_directories(fixture.directory / "d.yaml");
  fixture.start();
  CHECK(fixture.cluster.warns("d.yaml: not a regular file"));
  CHECK(fixture.cluster.becomes(""));
}

TEST_CASE("files that change while there are no descriptors are read when there are some, and it is told once") {
  if (!test::NoDescriptors::possible) return;
  Fixture f;
  fs::create_directory(f.directory);
  write(f.directory / "a.yaml", service("a", "10.0.0.1"));
  write(f.temporary.path() / "changed", service("a", "10.0.0.2"));
  f.start();
  REQUIRE(f.cluster.becomes("default/a=10.0.0.1 "));
  {
    // The lowest that is free: what the source closes while it tries can be had again.
    const int next = ::dup(STDERR_FILENO);
    ::close(next);
    const test::NoDescriptors none(next);
    REQUIRE(::rename((f.temporary.path() / "changed").c_str(), (f.directory / "a.yaml").c_str()) == 0);
    REQUIRE(f.cluster.warns("(EMFILE); trying again each second"));
    // Through all the steps of opening it anew.
    const auto watches = [&] { return f.source->status().at(0).watches; };
    const auto before = watches();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (watches() < before + 1 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK(watches() > before);
  }
  CHECK(f.cluster.becomes("default/a=10.0.0.2 "));
  CHECK(f.cluster.warnings() == 1);
}

TEST_CASE("without memory what is known stays, it is told once, and all is read anew") {
  Fixture f;
  fs::create_directory(f.directory);
  write(f.directory / "a.yaml", service("a", "10.0.0.1"));
  f.cluster.fail_pushes(2);
  f.start();
  CHECK(f.cluster.becomes("default/a=10.0.0.1 "));
  write(f.directory / "z.yaml", service("z", "10.0.0.9"));
  CHECK(f.cluster.becomes("default/a=10.0.0.1 default/z=10.0.0.9 "));
  write(f.directory / "z.yaml", "spec: [\n");
  CHECK(f.cluster.warns("what the file defined before stays"));

  f.cluster.fail_pushes(1);
  write(f.directory / "a.yaml", service("a", "10.0.0.2") + service("b", "10.0.0.3"));
  CHECK(f.cluster.becomes("default/a=10.0.0.2 default/b=10.0.0.3 default/z=10.0.0.9 ", 6));
  f.cluster.fail_pushes(1);
  fs::remove(f.directory / "a.yaml");
  CHECK(f.cluster.becomes("default/z=10.0.0.9 ", 9));
  CHECK(f.cluster.warns("no memory for the files; raise the memory limit: busy (ENOMEM); trying again each second"));
  CHECK(f.cluster.warnings() == 4);
}
