// The watch for another proxy: what it is told, and what it does not know.
#include "daemon/loop/proxy_watch.hpp"

#include <atomic>
#include <catch2/catch.hpp>

using namespace ipvsd;
using namespace std::chrono_literals;

TEST_CASE("another proxy that cannot be looked for lives on as far as anybody knows") {
  using Found = std::optional<std::string>;
  std::atomic<int> looks = 0;
  std::atomic<int> stage = 0;
  std::mutex mutex;
  std::vector<std::string> told;
  const auto tell = [&](const std::string& text) {
    const std::lock_guard lock(mutex);
    told.push_back(text);
  };
  const auto find = [&]() -> Result<Found> {
    ++looks;
    if (stage == 1) return fail_errno(EMFILE, "look");
    return stage == 0 ? Found("kube-proxy") : Found();
  };
  ProxyWatch watch(
      find, 1ms, [&](const Found& other) { tell(other.value_or("nobody")); },
      [&](const Error& error) { tell(error.message()); });
  // The first of these may have begun before.
  const auto looked = [&] {
    const int before = looks;
    while (looks < before + 3) std::this_thread::yield();
  };
  looked();
  CHECK_FALSE(watch.alone());
  stage = 1;
  looked();
  CHECK_FALSE(watch.alone());
  stage = 2;
  looked();
  CHECK(watch.alone());
  const std::lock_guard lock(mutex);
  CHECK(told == std::vector<std::string>{"kube-proxy", "look: busy (EMFILE)", "nobody"});
}
