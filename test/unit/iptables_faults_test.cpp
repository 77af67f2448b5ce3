// The iptables programs as they fail: refused, hung, killed, half done. Stand-ins for them are shell scripts in a PATH
// of the test's own.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ipset/iptables.hpp"
#include "os/fd.hpp"
#include "os/process.hpp"

using namespace ipvsd;

namespace {

constexpr std::chrono::seconds long_enough{60};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A node whose iptables-legacy programs are these: "saved" is what the kernel has.
class StandIns {
 public:
  StandIns() : path_before_(std::getenv("PATH")) {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon
    std::string folder = std::filesystem::temp_directory_path() / "ipvsd-iptables.XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    ::setenv("PATH", fmt::format("{}:/usr/bin:/bin", folder).c_str(), 1);
    program("iptables-legacy", "exit 0");
    mend();
  }
  ~StandIns() {
    ::setenv("PATH", path_before_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }
  StandIns(const StandIns&) = delete;
  StandIns& operator=(const StandIns&) = delete;

  // As `script`, run in the folder of the stand-ins.
  void program(const std::string& name, const std::string& script) {
    const auto file = folder_ / name;
    // A new file: the former one may be running.
    std::filesystem::remove(file);
    std::ofstream(file) << "#!/bin/sh\ncd " << folder_.string() << " || exit 9\n" << script << "\n";
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }
  void mend() {
    program("iptables-legacy-save", "cat saved");
    program("iptables-legacy-restore", "cat >restored");
  }
  void remove(const std::string& name) { std::filesystem::remove(folder_ / name); }
  void save_prints(const std::string& text) { std::ofstream(folder_ / "saved") << text; }
  // What the last iptables-restore was fed; empty if none ran.
  std::string take_restored() {
    auto text = read_file(folder_ / "restored");
    std::filesystem::remove(folder_ / "restored");
    return text;
  }

 private:
  std::filesystem::path folder_;
  std::string path_before_;
};

// What iptables-save prints of these rules.
std::string saved(const Rules& all) {
  std::string text;
  for (const auto table : {Table::mangle, Table::nat, Table::filter}) {
    text += fmt::format("*{}\n:INPUT ACCEPT [0:0]\n", to_string(table));
    for (const auto& chain : all.chains)
      if (chain.table == table) text += fmt::format(":{} - [0:0]\n", chain.name);
    for (auto jump = all.jumps.rbegin(); jump != all.jumps.rend(); ++jump)
      if (jump->table == table) text += fmt::format("-A {} {}\n", jump->from, jump->rule());
    for (const auto& chain : all.chains)
      if (chain.table == table)
        for (const auto& rule : chain.rules) text += fmt::format("-A {} {}\n", chain.name, rule);
    text += "COMMIT\n";
  }
  return text;
}

constexpr auto lock_held =
    "echo 'Another app is currently holding the xtables lock. Stopped waiting after 5s.' >&2; exit 4";

}  // namespace

TEST_CASE("iptables-save that fails or lies is an error, and nothing is written") {
  StandIns node;
  const auto all = rules(Family::ipv4, {});
  const auto whole = saved(all);
  Iptables iptables(IptablesBackend::legacy);
  const auto [script, code, text] = GENERATE(table<std::string, Errc, std::string>({
      {lock_held, Errc::busy, "iptables-legacy-save: exit status 4: Another app"},
      {"exit 4", Errc::busy, "exit status 4"},
      {"exit 1", Errc::unsupported, "exit status 1"},
      {"kill -9 $$", Errc::interrupted, "iptables-legacy-save: killed by signal 9"},
      {"head -c 2000 saved", Errc::malformed, "line"},
      {"head -n 3 saved", Errc::malformed, "has no end"},
      {"head -c 2000 saved; kill -9 $$", Errc::interrupted, "killed by signal 9"},
      {"head -c 4000 /dev/zero", Errc::malformed, "breaks off"},
      {"echo 'Segmentation fault'", Errc::malformed, "not understood"},
      {"cat saved saved", Errc::malformed, "not understood"},
  }));
  node.save_prints(whole);
  node.program("iptables-legacy-save", script);
  INFO(script);
  for (int again = 0; again < 2; ++again) {
    const auto ensured = iptables.ensure(Family::ipv4, {});
    REQUIRE_FALSE(ensured);
    CHECK(ensured.error().code == code);
    INFO(ensured.error().message());
    CHECK(ensured.error().message().find(text) != std::string::npos);
    CHECK(node.take_restored().empty());
  }
  node.mend();
  const auto ensured = iptables.ensure(Family::ipv4, {});
  REQUIRE(ensured);
  CHECK_FALSE(ensured->wrote);
}

TEST_CASE("iptables-restore that fails says how, and once it works the rules are written whole") {
  StandIns node;
  const auto all = rules(Family::ipv4, {});
  Iptables iptables(IptablesBackend::legacy);
  const auto [script, code, text] = GENERATE(table<std::string, Errc, std::string>({
      {lock_held, Errc::busy, "iptables-legacy-restore: exit status 4: Another app"},
      {"cat >/dev/null; exit 4", Errc::busy, "exit status 4"},
      {"head -c 100 >/dev/null; exit 1", Errc::unsupported, "exit status 1"},
      {"exit 2", Errc::unsupported, "exit status 2"},
      {"kill -9 $$", Errc::interrupted, "iptables-legacy-restore: killed by signal 9"},
      {"head -c 100 >/dev/null; kill -11 $$", Errc::interrupted, "killed by signal 11"},
      {"cat >/dev/null; echo 'iptables-restore: line 3 failed' >&2; exit 1", Errc::unsupported, "in \""},
  }));
  INFO(script);
  node.save_prints("");
  node.program("iptables-legacy-restore", script);
  for (int again = 0; again < 2; ++again) {
    const auto ensured = iptables.ensure(Family::ipv4, {});
    REQUIRE_FALSE(ensured);
    CHECK(ensured.error().code == code);
    INFO(ensured.error().message());
    CHECK(ensured.error().message().find(text) != std::string::npos);
  }
  node.mend();
  const auto ensured = iptables.ensure(Family::ipv4, {});
  REQUIRE(ensured);
  CHECK(ensured->wrote);
  CHECK(node.take_restored() == restore_text(all, all.jumps));
}

TEST_CASE("an iptables-restore that says it is done, and is not, is noticed") {
  StandIns node;
  const auto all = rules(Family::ipv4, {});
  Iptables iptables(IptablesBackend::legacy);
  node.save_prints("");
  node.program("iptables-legacy-restore", GENERATE("exit 0", "head -c 100 >/dev/null", "cat >/dev/null"));
  for (int again = 0; again < 2; ++again) {
    const auto ensured = iptables.ensure(Family::ipv4, {});
    REQUIRE(ensured);
    CHECK(ensured->wrote);
  }
  node.mend();
  REQUIRE(iptables.ensure(Family::ipv4, {}));
  CHECK(node.take_restored() == restore_text(all, all.jumps));
}

TEST_CASE("iptables that is removed from a running node is missed by name, until it is back") {
  StandIns node;
  Iptables iptables(IptablesBackend::legacy);
  node.save_prints("");
  REQUIRE(iptables.ensure(Family::ipv4, {}));
  node.remove("iptables-legacy-restore");
  auto ensured = iptables.ensure(Family::ipv4, {});
  REQUIRE_FALSE(ensured);
  CHECK(ensured.error().code == Errc::not_found);
  CHECK(ensured.error().message().find("iptables-legacy-restore") != std::string::npos);
  node.remove("iptables-legacy-save");
  ensured = iptables.ensure(Family::ipv4, {});
  REQUIRE_FALSE(ensured);
  CHECK(ensured.error() == Error{Errc::not_found, 0, "iptables-legacy-save: not found; apt install iptables"});
  node.mend();
  CHECK(iptables.ensure(Family::ipv4, {}));
}

TEST_CASE("a probe that was killed does not say that the kernel has no such family") {
  StandIns node;
  node.save_prints("");
  node.program("iptables-legacy", "kill -9 $$");
  Iptables iptables(IptablesBackend::legacy);
  const auto backend = iptables.backend(Family::ipv4);
  REQUIRE_FALSE(backend);
  CHECK(backend.error().code == Errc::interrupted);
  node.program("iptables-legacy", "exit 0");
  CHECK(iptables.backend(Family::ipv4) == IptablesBackend::legacy);
}

TEST_CASE("a jump that is there too often is there once afterwards") {
  StandIns node;
  const auto all = rules(Family::ipv4, {});
  auto twice = all;
  const auto& jump = all.jumps.at(3);
  twice.jumps.push_back(jump);
  twice.jumps.push_back(jump);
  node.save_prints(saved(twice));
  Iptables iptables(IptablesBackend::legacy);
  const auto ensured = iptables.ensure(Family::ipv4, {});
  REQUIRE(ensured);
  CHECK(ensured->wrote);
  const auto text = node.take_restored();
  const auto line = fmt::format("-D {} {}\n", jump.from, jump.rule());
  CHECK(text == restore_text(all, {}, {jump, jump}));
  CHECK(text.find(line + line) != std::string::npos);
  CHECK(text.find("-I ") == std::string::npos);
}

TEST_CASE("a program that hangs is killed at its deadline, however it hangs") {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string script = GENERATE("exec sleep 600",
                                      "exec >&- 2>&-; exec sleep 600",    // with its outputs closed
                                      "cat >/dev/null; exec sleep 600",   // with its input read
                                      "trap '' TERM INT; exec sleep 600"  //
  );
  INFO(script);
  const auto done =
      run_process({"sh", "-c", "echo $$ >&2; " + script}, std::string(1U << 20, 'x'), std::chrono::milliseconds(200));
  REQUIRE_FALSE(done);
  CHECK(done.error().code == Errc::timed_out);
  CHECK(done.error().message().find("no end after 200 ms, killed") != std::string::npos);
}

TEST_CASE("what a program has started is killed with it at its deadline") {
  const std::string script = GENERATE("sleep 600 & wait",
                                      "sleep 600 &",  // it ends, and leaves one behind
                                      "sh -c 'exec >&- 2>&-; sleep 600 & wait' & sleep 600"  // further down
  );
  INFO(script);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Fd mine(ends[0]);
  Fd theirs(ends[1]);  // all of them have it; the pipe ends with the last
  ::fcntl(mine.get(), F_SETFD, FD_CLOEXEC);
  const auto done = run_process({"sh", "-c", script}, "", std::chrono::milliseconds(200));
  theirs.reset();
  REQUIRE_FALSE(done);
  CHECK(done.error().code == Errc::timed_out);
  pollfd ended{mine.get(), POLLIN, 0};
  REQUIRE(::poll(&ended, 1, 10'000) == 1);
  char byte = 0;
  CHECK(::read(mine.get(), &byte, 1) == 0);
}

TEST_CASE("endless output ends at the deadline, and is not all kept") {
  const auto done = run_process({"yes"}, "", std::chrono::milliseconds(200));
  REQUIRE_FALSE(done);
  CHECK(done.error().code == Errc::timed_out);
}

TEST_CASE("how a program ended is told, whether it read its input or not") {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string much(1U << 20, 'x');
  const auto ended = [&](const std::string& script) {
    const auto done = run_process({"sh", "-c", script}, much, long_enough);
    REQUIRE(done);
    return done->exit_status;
  };
  CHECK(ended("exit 3") == 3);
  CHECK(ended("cat >/dev/null; exit 4") == 4);
  CHECK(ended("kill -9 $$") == 128 + 9);
  CHECK(ended("head -c 10 >/dev/null; kill -15 $$") == 128 + 15);
  const auto whole = run_process({"cat"}, much, long_enough);
  REQUIRE(whole);
  CHECK(whole->out == much);
  const auto none = run_process({"no-such-program"}, much, long_enough);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Errc::not_found);
}
