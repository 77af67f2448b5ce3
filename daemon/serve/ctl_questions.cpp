#include "daemon/serve/ctl_questions.hpp"

#include <utility>

namespace ipvsd {

Result<void> Questions::queue(Queued question) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return fail(Errc::disconnected, "the daemon ends");
    if (waiting_.size() >= waiting_limit) return fail(Errc::busy, "too many questions wait for the daemon's loop");
    waiting_.push_back(std::move(question));
  }
  wake_();
  return {};
}

bool Questions::answer_one(const LoopView& view) {
  Queued question;
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return false;
    question = std::move(waiting_.front());
    waiting_.pop_front();
    more = !waiting_.empty();
  }
  question(view);
  return more;
}

void Questions::close() {
  std::deque<Queued> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(waiting_);
}

}  // namespace ipvsd
