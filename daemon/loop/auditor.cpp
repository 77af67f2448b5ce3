#include "daemon/loop/auditor.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

// Each is a question to the kernel.
constexpr std::size_t servers_per_look = 16;
// Of the ledger, gone through for what the listing left out, in the time of one such question.
constexpr std::size_t rows_per_server = 256;
// Of a set, compared at a time: about half a millisecond.
constexpr std::size_t members_per_look = 512;

}  // namespace

// The more there is the more at a look, and then the more looks; the less the fewer.
AuditPace audit_pace(std::size_t servers, std::chrono::seconds period) {
  const std::size_t sets = all_ip_sets().size();
  const auto seconds = static_cast<std::size_t>(std::max<std::int64_t>(period.count(), 1));
  const std::size_t looks =
      std::max(std::min(seconds, std::max(servers, sets)), (servers + servers_per_look - 1) / servers_per_look);
  return {(servers + looks - 1) / looks, (sets + looks - 1) / looks, std::chrono::milliseconds(seconds * 1000 / looks)};
}

bool Auditor::look(std::size_t servers, std::size_t sets) {
  const bool servers_done = look_at_servers(servers);
  const auto all_sets = all_ip_sets();
  for (; sets > 0 && set_ < all_sets.size(); --sets)
    if (look_at_piece(all_sets[set_])) ++set_;
  if (!servers_done || set_ < all_sets.size()) return false;
  start_over();
  return true;
}

void Auditor::start_over() {
  listed_.clear();
  left_out_.clear();
  position_ = set_ = 0;
  more_listed_ = true;
  more_rows_ = true;
  ledger_.start_pass();
}

bool Auditor::look_at_servers(std::size_t limit) {
  for (; limit > 0 && next_listed(); --limit) check(listed_[position_++]);
  for (; limit > 0 && (more_rows_ || !left_out_.empty()); --limit) {
    if (left_out_.empty()) {
      more_rows_ = ledger_.next_unconfirmed(rows_per_server, left_out_);
    } else {
      observe(left_out_.back());
      left_out_.pop_back();
    }
  }
  return limit > 0;
}

// Whether there is another one in the listing; where listing fails nothing is left out but asked for one by one.
bool Auditor::next_listed() {
  while (position_ == listed_.size() && more_listed_) {
    listed_.clear();
    position_ = 0;
    const auto more = kernel_.servers(servers_per_look, listed_);
    more_listed_ = more && *more;
  }
  return position_ < listed_.size();
}

// A listing may be older than our last change: what differs is looked at again.
void Auditor::check(const VirtualServer& listed) {
  if (!ledger_.knows(listed.key)) return;
  const auto destinations = kernel_.destinations(listed.key);
  if (destinations && !ledger_.confirmed({listed, *destinations})) observe(listed.key);
}

void Auditor::observe(const VirtualServerKey& key) {
  const auto found = kernel_.observe(key);
  if (found && ledger_.observed(key, *found)) ++differences_.servers;
}

// The next members of the set; true at its end. The numbers agree as a rule, and then nothing is held; else it is read
// again as a whole.
bool Auditor::look_at_piece(IpSet set) {
  bool equal = false;
  if (!set.carries_marks()) {
    std::vector<SetEntry> members;
    const auto more = kernel_.members(set, members_per_look, members);
    if (more) {
      seen_ += members.size();
      known_ += ledger_.known_members(members);
      if (*more) return false;
      equal = seen_ == known_ && known_ == ledger_.actual_members(set);
    }
    seen_ = known_ = 0;
    if (!more) return unreadable(more.error());
  }
  if (equal) return true;
  const auto members = kernel_.members(set);
  if (!members) return unreadable(members.error());
  differences_.entries += ledger_.observed(set, *members);
  return true;
}

// An error is never read as absence; that there is no such set is an answer.
bool Auditor::unreadable(const Error& error) {
  set_missing_ = set_missing_ || error.code == Errc::not_found;
  return true;
}

}  // namespace ipvsd
