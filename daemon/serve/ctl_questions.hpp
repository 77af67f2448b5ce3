// How the threads of the ctl socket read the loop's state without a lock on it. A question is a function that copies
// what it wants to know; it runs on the loop's thread between two turns, and its asker waits. So the loop never waits
// for anybody, nothing is shared, and what a question sees is of one moment. What it costs the loop is what it copies:
// a question takes a bounded piece (a batch of Services, a hundred failures) and encodes nothing, and the loop answers
// one in a turn. The alternative, a copy that the loop keeps up to date at each change, would cost every change, and
// twice the memory, for a tool that is used now and then.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>

#include "daemon/loop/loop_view.hpp"

namespace ipvsd {

class Questions {
 public:
  // `wake` makes the loop turn.
  explicit Questions(std::function<void()> wake) : wake_(std::move(wake)) {}

  // Any thread but the loop's. Errors: timed_out if the loop does not come to it, busy if too many wait already,
  // disconnected after close().
  template <class Question>
  [[nodiscard]] auto ask(Question question) -> Result<std::invoke_result_t<Question, const LoopView&>> {
    using Answer = std::invoke_result_t<Question, const LoopView&>;
    // Shared: the loop may come to it after the asker has given up.
    const auto task = std::make_shared<std::packaged_task<Answer(const LoopView&)>>(std::move(question));
    auto answer = task->get_future();
    if (const auto queued = queue([task](const LoopView& view) { (*task)(view); }); !queued)
      return fail(queued.error());
    if (answer.wait_for(patience) != std::future_status::ready)
      return fail(Errc::timed_out, "the daemon's loop has not come to answer for some seconds");
    try {
      return answer.get();
    } catch (const std::exception&) {  // the question was dropped by close(), or there was no memory
      return fail(Errc::disconnected, "the daemon ends");
    }
  }

  // The loop's: answers one; true if more wait.
  bool answer_one(const LoopView& view);

  // Those who wait, and all who ask from now on, get no answer.
  void close();

 private:
  using Queued = std::function<void(const LoopView&)>;
  [[nodiscard]] Result<void> queue(Queued question);

  static constexpr std::chrono::seconds patience{5};
  static constexpr std::size_t waiting_limit = 64;

  std::function<void()> wake_;
  std::mutex mutex_;
  std::deque<Queued> waiting_;
  bool closed_ = false;
};

}  // namespace ipvsd
