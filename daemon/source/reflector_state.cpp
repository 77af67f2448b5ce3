#include "daemon/source/reflector_state.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

using namespace std::chrono_literals;
using End = Outcome::End;
using Verb = Ask::Verb;

// A watch that held this long was a good one, even if nothing happened.
constexpr auto good_watch = 5s;
// The server sends a bookmark about every minute. A watch that was silent for longer may stand at a version
// that the server has never had (etcd restored from a backup), where it would stay silent for ever.
constexpr auto suspicious_silence = 150s;

// Gone: the version or continue token has been compacted away.
bool expired(const Outcome& outcome) { return outcome.end == End::refused && outcome.status == 410; }
// 504 as an answer to a version is "Too large resource version".
bool too_large(const Outcome& outcome) { return outcome.end == End::refused && outcome.status == 504; }

}  // namespace

bool refuses_parameters(const Outcome& outcome) {
  if (outcome.end != End::refused) return false;
  const int status = outcome.status;
  return status >= 400 && status < 500 && status != 401 && status != 403 && status != 408 && status != 410 &&
         status != 429;
}

void ReflectorState::seen(const std::string& resource_version) {
  if (!resource_version.empty()) resource_version_ = resource_version;
}

void ReflectorState::initial_events_end() {
  version_unavailable_ = false;
  ask_ = {Verb::watch, resource_version_, "", true};
}

Ask ReflectorState::first_page() const {
  // Not older than what is known, so that a server that lags behind does not take us back in time; any state
  // at first ("0", which is cheap); what etcd holds ("") where the known version is of no use.
  const bool any = resource_version_.empty() && !version_unavailable_;
  return {Verb::list, any ? "0" : version_unavailable_ ? "" : resource_version_, "", !paging_expired_};
}

std::chrono::milliseconds ReflectorState::ended(const Outcome& outcome, double random) {
  const Verb verb = ask_.verb;
  const bool good = outcome.end != End::malformed && (outcome.frames > 0 || outcome.lasted >= good_watch);
  if (verb != Verb::list && good) failures_ = 0;
  if (expired(outcome) || too_large(outcome)) version_unavailable_ = true;

  switch (verb) {
    case Verb::list: ended_list(outcome); break;
    case Verb::watch_list: ended_watch_list(outcome); break;
    case Verb::watch: ended_watch(outcome); break;
  }
  // A watch that ends at once, even after a frame or two, is not reopened as fast as the network goes.
  const bool fine = outcome.end == End::complete && (verb == Verb::list || outcome.lasted >= good_watch);
  // Falling back to a list, or starting over once, is not a failure; doing so in a loop is.
  const bool turned = verb == Verb::watch_list && ask_.verb == Verb::list;
  const bool first_expiry = expired(outcome) && failures_ == 0;
  if (!fine && !turned) ++failures_;
  auto wait = fine || turned || first_expiry ? 0ms : pause(random);
  if (outcome.retry_after) wait = std::max<std::chrono::milliseconds>(wait, *outcome.retry_after);
  return wait;
}

void ReflectorState::ended_list(const Outcome& outcome) {
  if (outcome.end != End::complete) {
    // A continue token outlives its snapshot only for some minutes; a list that takes longer is asked for in
    // one piece.
    if (expired(outcome) && !ask_.continue_token.empty()) {
      paging_expired_ = true;
      version_unavailable_ = false;
    }
    ask_ = first_page();
    return;
  }
  if (!outcome.continue_token.empty()) {
    ask_ = {Verb::list, "", outcome.continue_token, true, outcome.listed};
    return;
  }
  resource_version_ = outcome.resource_version;
  version_unavailable_ = false;
  paging_expired_ = false;
  ask_ = {Verb::watch, resource_version_, "", true};
}

void ReflectorState::ended_watch_list(const Outcome& outcome) {
  if (refuses_parameters(outcome) || outcome.end == End::unmarked) watch_list_offered_ = false;
  // Broken before anything came: the server may still offer it. Told to wait or to log in: neither says
  // anything.
  const bool nothing_learnt = (outcome.end == End::broken && outcome.frames == 0) ||
                              (outcome.end == End::refused && !refuses_parameters(outcome) && !expired(outcome));
  if (nothing_learnt) return;
  ask_ = first_page();
}

void ReflectorState::ended_watch(const Outcome& outcome) {
  const bool lost = version_unavailable_ || outcome.end == End::malformed || refuses_parameters(outcome);
  const bool silent = outcome.frames == 0 && outcome.lasted >= suspicious_silence;
  if (silent) version_unavailable_ = true;
  if (!lost && !silent)
    ask_ = {Verb::watch, resource_version_, "", true};
  else if (watch_list_offered_)
    ask_ = {Verb::watch_list, "", "", true};
  else
    ask_ = first_page();
}

std::chrono::milliseconds ReflectorState::pause(double random) const {
  const unsigned doublings = std::min(failures_ == 0 ? 0U : failures_ - 1, 16U);
  const auto base = std::min(backoff_.first * (1U << doublings), backoff_.longest / 2);
  return base + std::chrono::duration_cast<std::chrono::milliseconds>(base * random);
}

}  // namespace ipvsd
