#include "daemon/loop/inbox.hpp"

#include <sys/eventfd.h>

#include <iterator>

namespace ipvsd {

Inbox::Inbox(std::size_t capacity) : capacity_(capacity), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Inbox::push(std::vector<ClusterEvent> events) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return closed_ || events_.size() < capacity_; });
    if (closed_) return;
    events_.insert(events_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
  }
  wake();
}

std::vector<ClusterEvent> Inbox::take() {
  std::vector<ClusterEvent> events;
  {
    const std::lock_guard lock(mutex_);
    events.swap(events_);
  }
  room_.notify_all();
  return events;
}

void Inbox::wake() { (void)::eventfd_write(event_.get(), 1); }

void Inbox::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  room_.notify_all();
}

}  // namespace ipvsd
