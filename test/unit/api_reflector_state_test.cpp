#include <catch2/catch.hpp>

#include "daemon/source/reflector_state.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;
using Verb = Ask::Verb;
using End = Outcome::End;

namespace {

Outcome ended(End end, std::chrono::milliseconds lasted = 0ms, std::uint64_t frames = 0) {
  Outcome outcome;
  outcome.end = end;
  outcome.lasted = lasted;
  outcome.frames = frames;
  return outcome;
}
Outcome refused(int status) {
  Outcome outcome;
  outcome.end = End::refused;
  outcome.status = status;
  return outcome;
}
Outcome page(const std::string& version, const std::string& next = "") {
  Outcome outcome;
  outcome.resource_version = version;
  outcome.continue_token = next;
  return outcome;
}

// A state that has listed up to version 7 and is about to watch, on a server without watch lists.
ReflectorState watching() {
  ReflectorState state;
  (void)state.ended(refused(422), 0);
  (void)state.ended(page("7"), 0);
  return state;
}

}  // namespace

TEST_CASE("the first request asks for initial events, and turns into a watch") {
  ReflectorState state;
  CHECK(state.next() == Ask{Verb::watch_list, "", "", true});
  state.seen("41");
  state.initial_events_end();
  state.seen("43");
  state.seen("");
  CHECK(state.ended(ended(End::complete, 300s, 5), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::watch, "43", "", true});
}

TEST_CASE("a server without watch lists is listed at once, and not asked for them again") {
  const auto how = GENERATE(refused(422), refused(400), refused(404), ended(End::unmarked, 1s, 3));
  ReflectorState state;
  CHECK(state.ended(how, 0.5) == 0ms);
  CHECK(state.next() == Ask{Verb::list, "0", "", true});
  CHECK(state.ended(page("7"), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::watch, "7", "", true});
  CHECK(state.ended(refused(410), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::list, "", "", true});
}

TEST_CASE("what says nothing about watch lists is retried as it was") {
  const auto how = GENERATE(refused(401), refused(403), refused(429), refused(500), refused(503), ended(End::broken));
  ReflectorState state;
  CHECK(state.ended(how, 0) == 800ms);
  CHECK(state.next() == Ask{Verb::watch_list, "", "", true});
}

TEST_CASE("a stream that ends before its initial events do is followed by a list") {
  const auto how = GENERATE(ended(End::broken, 1s, 2), ended(End::complete, 1s, 2), ended(End::malformed, 1s, 2));
  ReflectorState state;
  CHECK(state.ended(how, 0) == 0ms);
  CHECK(state.next().verb == Verb::list);
  (void)state.ended(page("7"), 0);
  (void)state.ended(refused(410), 0);
  CHECK(state.next().verb == Verb::watch_list);
}

TEST_CASE("pages follow each other; the version is that of the last") {
  ReflectorState state;
  (void)state.ended(refused(422), 0);
  CHECK(state.ended(page("7", "more"), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::list, "", "more", true});
  CHECK(state.ended(page("8"), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::watch, "8", "", true});
}

TEST_CASE("an expired continue token starts the list over in one piece") {
  ReflectorState state;
  (void)state.ended(refused(422), 0);
  (void)state.ended(page("7", "more"), 0);
  CHECK(state.ended(refused(410), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::list, "0", "", false});
  CHECK(state.ended(page("9"), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::watch, "9", "", true});
}

TEST_CASE("any other failure of a page starts the list over") {
  ReflectorState state;
  (void)state.ended(refused(422), 0);
  (void)state.ended(page("7", "more"), 0);
  CHECK(state.ended(ended(End::broken), 0) == 800ms);
  CHECK(state.next() == Ask{Verb::list, "0", "", true});
}

TEST_CASE("a broken watch goes on where it was") {
  const auto how =
      GENERATE(ended(End::broken, 60s, 2), ended(End::complete, 1s, 0), refused(500), refused(429), refused(401));
  auto state = watching();
  state.seen("9");
  CHECK(state.ended(how, 0) >= 800ms);
  CHECK(state.next() == Ask{Verb::watch, "9", "", true});
}

TEST_CASE("a version that is gone or unknown to the server is not asked for again") {
  const auto status = GENERATE(410, 504);
  auto state = watching();
  (void)state.ended(refused(status), 0);
  CHECK(state.next() == Ask{Verb::list, "", "", true});
  // ... nor when the list fails; once it is there, its own version counts.
  (void)state.ended(ended(End::broken), 0);
  CHECK(state.next() == Ask{Verb::list, "", "", true});
  (void)state.ended(page("20"), 0);
  CHECK(state.next() == Ask{Verb::watch, "20", "", true});
}

TEST_CASE("after senseless bytes or a refused version the list is read again, not older than what is known") {
  const auto how = GENERATE(ended(End::malformed, 60s, 2), refused(400));
  auto state = watching();
  (void)state.ended(how, 0);
  CHECK(state.next() == Ask{Verb::list, "7", "", true});
}

TEST_CASE("a watch without even a bookmark is not trusted for ever") {
  auto state = watching();
  CHECK(state.ended(ended(End::complete, 100s), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::watch, "7", "", true});
  CHECK(state.ended(ended(End::complete, 300s), 0) == 0ms);
  CHECK(state.next() == Ask{Verb::list, "", "", true});
}

TEST_CASE("waits double up to the longest, are spread, and start anew after a good watch") {
  auto state = watching();
  for (const auto expected : {800ms, 1600ms, 3200ms, 6400ms, 12800ms, 15000ms, 15000ms})
    CHECK(state.ended(ended(End::broken), 0) == expected);
  CHECK(state.ended(ended(End::broken), 0.999) == 29985ms);
  CHECK(state.ended(ended(End::broken, 10s, 1), 0) == 800ms);
  for (int i = 0; i < 100; ++i) CHECK(state.ended(ended(End::broken), 0.5) <= 30s);
}

TEST_CASE("relisting again and again waits") {
  auto state = watching();
  CHECK(state.ended(refused(410), 0) == 0ms);
  CHECK(state.ended(page("8"), 0) == 0ms);
  CHECK(state.ended(refused(410), 0) == 1600ms);
}

TEST_CASE("a watch that the server ends at once is not reopened at once") {
  auto state = watching();
  CHECK(state.ended(ended(End::complete, 10ms, 1), 0) == 800ms);
  CHECK(state.ended(ended(End::complete, 10ms, 1), 0) == 800ms);
}

TEST_CASE("Retry-After is the least wait") {
  auto state = watching();
  auto busy = refused(429);
  busy.retry_after = 7s;
  CHECK(state.ended(busy, 0) == 7s);
  busy.retry_after = 0s;
  CHECK(state.ended(busy, 0) == 1600ms);
}
