// Where the reader threads leave events for the loop.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "model/event.hpp"
#include "os/fd.hpp"

namespace ipvsd {

// Any thread pushes, one takes.
class Inbox final : public EventSink {
 public:
  // A push blocks while `capacity` events or more wait, so that a LIST of any size passes through in pieces.
  explicit Inbox(std::size_t capacity = 4096);

  void push(std::vector<ClusterEvent> events) override;
  // Everything that waits, in order. Never blocks.
  [[nodiscard]] std::vector<ClusterEvent> take();
  // Wakes the taker although there is no event.
  void wake();
  // Becomes readable anew, as edge-triggered epoll sees it, when there may be something to take; nobody reads it.
  [[nodiscard]] int fd() const { return event_.get(); }
  // From now on pushes return at once and are dropped: the loop has ended.
  void close();

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::vector<ClusterEvent> events_;
  bool closed_ = false;
  Fd event_;
};

}  // namespace ipvsd
