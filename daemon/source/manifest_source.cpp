#include "daemon/source/manifest_source.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <array>
#include <new>
#include <utility>

namespace ipvsd {
namespace {

constexpr int retry_ms = 1000;
// File systems that raise no inotify events (network, FUSE) are looked at this often.
constexpr int rescan_ms = 10000;
// Several files written together are read together; but not for ever while somebody keeps writing.
constexpr int quiet_ms = 20;
constexpr int quiet_rounds = 10;

}  // namespace

ManifestSource::ManifestSource(std::string directory, EventSink& sink, Warn warn)
    : path_(std::move(directory)),
      sink_(sink),
      warn_(std::move(warn)),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      directory_(path_) {
  status_.resource = path_;
}

void ManifestSource::start() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void ManifestSource::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const std::uint64_t one = 1;
  // An eventfd takes a write unless its counter is full, and then it is readable anyway.
  if (::write(wake_.get(), &one, sizeof one) < 0) spdlog::debug("manifests: wake: errno {}", errno);
  thread_.join();
}

std::vector<WatchStatus> ManifestSource::status() const {
  const std::lock_guard lock(mutex_);
  return {status_};
}

void ManifestSource::run(const std::stop_token& stop) {
  // By its kind: without descriptors each step fails by turns, and looking again may get one step further.
  std::optional<std::pair<Errc, int>> last_failure;
  while (!stop.stop_requested()) {
    auto opened = directory_.open();
    if (opened) {
      const std::lock_guard lock(mutex_);
      status_.connected = true;
      status_.last_error.clear();
      ++status_.watches;
    }
    while (opened && !stop.stop_requested()) {
      opened = load(stop);
      if (opened) last_failure.reset();
      if (opened) await_change();
    }
    if (stop.stop_requested()) return;
    const auto& error = opened.error();
    const std::optional failure = std::pair{error.code, error.sys_errno};
    if (std::exchange(last_failure, failure) != failure)
      problem(fmt::format("manifests: {}; trying again each second", error.message()));
    {
      const std::lock_guard lock(mutex_);
      status_.connected = false;
    }
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, retry_ms);
  }
}

void ManifestSource::await_change() {
  while (!directory_.due() && wait(rescan_ms)) directory_.drain();
  for (int round = 0; round < quiet_rounds && wait(quiet_ms); ++round) directory_.drain();
}

bool ManifestSource::wait(int timeout_ms) {
  std::array<pollfd, 2> fds{{{wake_.get(), POLLIN, 0}, {directory_.fd(), POLLIN, 0}}};
  return ::poll(fds.data(), fds.size(), timeout_ms) > 0 && fds[0].revents == 0 && fds[1].revents != 0;
}

Result<void> ManifestSource::load(const std::stop_token& stop) try {
  auto scanned = directory_.scan([&](const std::string& name, const auto& text) { take_file(name, text, stop); });
  if (!scanned || stop.stop_requested()) return scanned;
  const bool first = !std::exchange(delivered_, true);
  auto events = first ? objects_.snapshot() : std::vector<ClusterEvent>{};
  // What a file that was never read may define is there, as far as anybody knows. In one push with the replacement, so
  // that this is never taken for complete.
  const bool unread = directory_.left_some() || !unread_.empty();
  if (unread != std::exchange(told_unread_, unread)) {
    const ObjectKey unread_files{"", "files of " + path_ + " that could not be read"};
    for (const auto kind : {Kind::service, Kind::endpoint_slice}) {
      if (unread)
        events.emplace_back(Keep{kind, unread_files});
      else
        events.emplace_back(Remove{kind, unread_files});
    }
  }
  push(std::move(events));
  if (!first) return scanned;
  const std::lock_guard lock(mutex_);
  status_.synced = true;
  ++status_.lists;
  return {};
} catch (const std::bad_alloc&) {
  // In between reading and delivering: what was read is not known to have arrived. All of it is delivered anew.
  told_unread_ = delivered_ = false;
  return fail_errno(ENOMEM, "no memory for the files; raise the memory limit");
}

void ManifestSource::take_file(const std::string& name, const std::optional<Result<std::string>>& text,
                               const std::stop_token& stop) {
  if (stop.stop_requested()) return;
  ManifestObjects::Outcome outcome;
  if (!text) {
    unread_.erase(name);
    outcome = objects_.remove(name);
  } else if (!*text) {
    if (!delivered_) unread_.insert(name);
    return problem(fmt::format("{}; what it defined before stays", (*text).error().message()));
  } else {
    auto file = read_manifest(name, **text, stop);
    if (!file && file.error().code == Errc::interrupted) return;
    if (!file && !delivered_) unread_.insert(name);
    if (!file) return problem(fmt::format("{}; what the file defined before stays", file.error().context));
    const bool incomplete = !file->complete && !delivered_;
    if (file->complete) unread_.erase(name);
    for (auto& line : file->problems) problem(std::move(line));
    for (const auto& line : file->skipped) spdlog::debug("manifests: {}: skipped", line);
    {
      const std::lock_guard lock(mutex_);
      status_.rejected += file->rejected;
    }
    outcome = objects_.update(name, std::move(*file));
    if (incomplete || outcome.left_out > 0) unread_.insert(name);
    const std::lock_guard lock(mutex_);
    status_.rejected += outcome.left_out;
  }
  for (auto& line : outcome.warnings) problem(std::move(line));
  // Until all files have been read, nothing is known to be complete.
  if (delivered_) push(std::move(outcome.events));
}

void ManifestSource::problem(std::string text) {
  {
    const std::lock_guard lock(mutex_);
    status_.last_error = text;
  }
  warn_(std::move(text));
}

void ManifestSource::push(std::vector<ClusterEvent> events) {
  if (events.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    status_.events += events.size();
  }
  sink_.push(std::move(events));
}

}  // namespace ipvsd
