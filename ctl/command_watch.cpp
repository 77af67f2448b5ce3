#include <fmt/chrono.h>
#include <poll.h>

#include <chrono>
#include <memory>

#include "ctl/cluster_names.hpp"
#include "ctl/command_cluster.hpp"
#include "ctl/watcher.hpp"

namespace ipvsd::ctl {
namespace {

struct WatchWords {
  ClusterWords cluster;
  std::vector<std::string> selectors;
  std::string format = "table";
  double interval = 1;
  std::size_t count = 0;
};

std::string time_text() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

// Tells changes until there were `count` (0: forever); true when that is so.
class Teller {
 public:
  Teller(std::size_t count, bool as_json) : left_(count), as_json_(as_json), terminal_(standard_terminal()) {}
  Result<bool> tell(const std::vector<Change>& changes) {
    const auto time = time_text();
    for (const auto& change : changes) {
      const auto written = write_out(as_json_ ? json_of(change, time) : line_of(change, time, terminal_.colour));
      if (!written) return fail(written.error());
      if (left_ != 0 && --left_ == 0) return true;
    }
    if (!changes.empty() && std::fflush(stdout) != 0) return fail_errno(errno, "standard output");
    return false;
  }

 private:
  std::size_t left_;
  bool as_json_;
  Terminal terminal_;
};

Result<void> watch(Watcher& watcher, const WatchWords& words, bool as_json) {
  using Clock = std::chrono::steady_clock;
  const auto interval = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(words.interval));
  Teller teller(words.count, as_json);
  auto next = Clock::now();
  for (bool first = true;; first = false) {
    const auto changes = watcher.look();
    if (!changes) return fail(changes.error());
    // So that a script knows from when on it sees all.
    if (first) fmt::print(stderr, "kube-ipvsctl: watching; IPVS and sets are looked at every {} s\n", words.interval);
    const auto told = teller.tell(*changes);
    if (!told) return fail(told.error());
    if (*told) return {};
    for (next = std::max(next + interval, Clock::now());;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
      if (left <= 0) break;
      pollfd poll{watcher.notification_fd(), POLLIN, 0};
      if (::poll(&poll, 1, static_cast<int>(left)) <= 0) continue;
      const auto at_once = teller.tell(watcher.notified());
      if (!at_once) return fail(at_once.error());
      if (*at_once) return {};
    }
  }
}

int run_watch(const WatchWords& words) {
  const auto format = parse_format(words.format, std::array{Format::table, Format::json});
  if (!format) return complain(format.error(), usage_status);
  auto names = read_names(words.cluster, warn_user);
  if (!names) return complain(names.error(), 1);
  auto observer = Observer::open();
  if (!observer) return complain(observer.error(), 1);
  observer->name_marks(*names);
  auto selection = Selectors::parse(words.selectors, *names);
  if (!selection) return complain(selection.error(), usage_status);
  Watcher watcher(std::move(*observer), std::move(*names), std::move(*selection));
  return finish(watch(watcher, words, *format == Format::json));
}

}  // namespace

Command declare_watch(CLI::App& app) {
  const auto words = std::make_shared<WatchWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("watch", "Changes of this node's kernel as they happen, a line for each");
  command->add_option("SELECTOR", words->selectors, "as with dump");
  command->add_option("-o,--output", words->format, "table (default), or json, a line for each change")
      ->option_text("FORMAT");
  command->add_option("-i,--interval", words->interval, "seconds between looks at IPVS and the sets; 1 unless said")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.1, 3600.0));
  command->add_option("--count", words->count, "end after so many changes")->option_text("COUNT");
  add_cluster_options(*command, words->cluster);
  command->footer(
      "Addresses are told by the kernel at once. IPVS and sets have no notifications: they are read and compared, the\n"
      "virtual servers at every look, the destinations of a thousand of them in turn, so what comes and goes between\n"
      "two looks is not seen.");
  return {command, [words] { return run_watch(*words); }};
}

}  // namespace ipvsd::ctl
