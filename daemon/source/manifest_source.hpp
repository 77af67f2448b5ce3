// A directory of manifests as the source of objects: no API server, no cluster. Reads *.yaml, *.yml and *.json, then
// follows their changes. A file that cannot be read keeps what it defined before; a directory that is missing is
// looked for each second, and what is known stays until it is there again.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "daemon/source/manifest_directory.hpp"
#include "daemon/source/manifest_objects.hpp"
#include "daemon/source/source.hpp"

namespace ipvsd {

class ManifestSource final : public Source {
 public:
  // Problems, one line each: "web.yaml:12: Service default/web: spec.ports[0].port: expected ...". Called on the
  // source's own thread.
  using Warn = std::function<void(std::string)>;

  ManifestSource(std::string directory, EventSink& sink, Warn warn);
  ~ManifestSource() override { stop(); }

  void start() override;
  void stop() override;
  [[nodiscard]] std::vector<WatchStatus> status() const override;

 private:
  void run(const std::stop_token& stop);
  [[nodiscard]] Result<void> load(const std::stop_token& stop);
  void take_file(const std::string& name, const std::optional<Result<std::string>>& text, const std::stop_token& stop);
  // Until the directory changed and is quiet again, at a stop, or when it is time to look anyway.
  void await_change();
  // Whether a notification came, rather than a stop or the deadline.
  [[nodiscard]] bool wait(int timeout_ms);
  void problem(std::string text);
  void push(std::vector<ClusterEvent> events);

  std::string path_;
  EventSink& sink_;
  Warn warn_;
  Fd wake_;  // eventfd: stop() writes it
  std::jthread thread_;

  // The thread's own.
  ManifestDirectory directory_;
  ManifestObjects objects_;
  bool delivered_ = false;        // the initial replacement has been pushed
  std::set<std::string> unread_;  // files that could not be read since the start, or of which a part had no room
  bool told_unread_ = false;

  mutable std::mutex mutex_;
  WatchStatus status_;
};

}  // namespace ipvsd
