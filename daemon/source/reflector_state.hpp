// What a reflector asks the API server next, and how long it waits before: the rules of list and watch
// without any I/O. Pure; time and randomness come in as values.
//
// Sources: Kubernetes API concepts ("Efficient detection of changes", "Streaming lists"), KEP-3157
// (WatchList), client-go tools/cache/reflector.go for the waiting times.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace ipvsd {

// Each wait after a failure lies between d and 2d, where d doubles from `first` and 2d never exceeds
// `longest`.
struct Backoff {
  std::chrono::milliseconds first{800};
  std::chrono::milliseconds longest{30'000};
};

struct Ask {
  enum class Verb : std::uint8_t {
    watch_list,  // a watch that begins with the whole state
    list,
    watch,
  };
  Verb verb = Verb::watch_list;
  std::string resource_version;
  std::string continue_token;  // list: of the page before; "" for the first page
  bool paged = true;           // list: limit=500
  std::size_t listed = 0;      // list: objects on the pages before
  friend bool operator==(const Ask&, const Ask&) = default;
};

// How a request ended.
struct Outcome {
  enum class End : std::uint8_t {
    complete,   // list: the page was read; watch: the server closed the stream in good order
    broken,     // no connection, or it broke, or the peer fell silent
    refused,    // an HTTP status other than 200, or an ERROR event: see `status`
    malformed,  // the server's bytes made no sense
    unmarked,   // watch_list: a bookmark came, but not the end of the initial events: the server ignores what
                // was asked
  };
  End end = End::complete;
  int status = 0;  // refused: HTTP status or Status.code
  std::optional<std::chrono::seconds> retry_after;
  std::string continue_token;          // list, complete: "" on the last page
  std::string resource_version;        // list, complete: the list's
  std::size_t listed = 0;              // list: objects until now, those of the pages before included
  std::uint64_t frames = 0;            // watches: frames that were understood, bookmarks included
  std::chrono::milliseconds lasted{};  // watches: from the first byte of the answer to its end
};

// A client error that says something about the parameters, not about who asks, how often, or where.
[[nodiscard]] bool refuses_parameters(const Outcome& outcome);

class ReflectorState {
 public:
  explicit ReflectorState(Backoff backoff = {}) : backoff_(backoff) {}

  [[nodiscard]] const Ask& next() const { return ask_; }

  // Within a watch: an object or a bookmark carried this version. "" is ignored.
  void seen(const std::string& resource_version);
  // Within a watch_list: the end of the initial events has come; from here on it is a watch.
  void initial_events_end();

  // Takes in how next() ended, and returns how long to wait before the new next(). `random` is in [0, 1).
  [[nodiscard]] std::chrono::milliseconds ended(const Outcome& outcome, double random);

 private:
  void ended_list(const Outcome& outcome);
  void ended_watch_list(const Outcome& outcome);
  void ended_watch(const Outcome& outcome);
  [[nodiscard]] Ask first_page() const;
  [[nodiscard]] std::chrono::milliseconds pause(double random) const;

  Backoff backoff_;
  Ask ask_;
  bool watch_list_offered_ = true;
  // The version of which the server said that it is gone, or that it does not know it yet, is not asked for
  // again.
  bool version_unavailable_ = false;
  bool paging_expired_ = false;
  unsigned failures_ = 0;  // in a row
  std::string resource_version_;
};

}  // namespace ipvsd
