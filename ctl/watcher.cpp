#include "ctl/watcher.hpp"

#include <algorithm>

namespace ipvsd::ctl {
namespace {

void append(std::vector<Change>& all, std::vector<Change> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

Result<void> Watcher::look_at_servers(std::vector<Change>& all) {
  const auto observation = observer_.observe(selection_, {.addresses = false});
  if (!observation) return fail(observation.error());
  auto now = watched(observation->servers);
  for (const auto& [key, server] : servers_) {
    if (now.contains(key)) continue;
    const auto exists = observer_.exists(key);
    if (!exists) return fail(exists.error());
    if (*exists) now.emplace(key, server);
  }
  if (!first_) append(all, changes(servers_, now, names_));
  for (const auto& [key, server] : now)
    if (!servers_.contains(key)) turn_.push_front(key);  // what is new is looked into first
  std::erase_if(destinations_, [&](const auto& known) { return !now.contains(known.first); });
  std::erase_if(turn_, [&](const auto& key) { return !now.contains(key); });
  servers_ = std::move(now);
  return {};
}

Result<void> Watcher::look_at_destinations(std::vector<Change>& all) {
  const auto count = std::min(turn_.size(), destination_slice);
  for (std::size_t i = 0; i < count; ++i) {
    const auto key = turn_.front();
    nl::VirtualServerRecord record;
    record.server.key = key;
    const auto seen = observer_.destinations(record);
    if (!seen) return fail(seen.error());
    auto now = watched(*seen);
    const auto known = destinations_.find(key);
    const bool lacks =
        known != destinations_.end() &&
        std::any_of(known->second.begin(), known->second.end(), [&](const auto& d) { return !now.contains(d.first); });
    if (lacks) {  // once more: what two dumps leave out is not there
      const auto again = observer_.destinations(record);
      if (!again) return fail(again.error());
      now.merge(watched(*again));
    }
    turn_.pop_front();
    turn_.push_back(key);
    // Destinations that come with a new virtual server are told; those that were there at the start are not.
    static const WatchedDestinations none;
    if (known != destinations_.end() || !first_round_.contains(key))
      append(all, changes(key, known == destinations_.end() ? none : known->second, now, names_));
    first_round_.erase(key);
    destinations_[key] = std::move(now);
  }
  return {};
}

Result<void> Watcher::look_at_sets(std::vector<Change>& all) {
  std::size_t entries = 0;
  for (const auto& [set, members] : sets_) entries += members.size();
  const auto sets = all_ip_sets();
  const std::size_t count = first_ || entries <= entry_slice ? sets.size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const auto set = sets[set_turn_++ % sets.size()];
    auto now = observer_.members(set, selection_);
    if (!now && now.error().code != Errc::not_found) return fail(now.error());
    if (now) names_.add_marks(*now);
    const auto known = sets_.find(set);
    const bool was = known != sets_.end();
    if (!first_ && was != now.has_value())
      all.push_back({was ? ChangeSign::removed : ChangeSign::added, "set", std::string(set.name()), "", ""});
    if (!now) {
      sets_.erase(set);
      continue;
    }
    if (!first_) append(all, changes(was ? known->second : std::vector<SetEntry>{}, *now, names_));
    sets_[set] = std::move(*now);
  }
  return {};
}

Result<std::vector<Change>> Watcher::look() {
  std::vector<Change> all;
  if (const auto looked = look_at_servers(all); !looked) return fail(looked.error());
  if (first_)
    for (const auto& [key, server] : servers_) first_round_.insert(key);
  if (const auto looked = look_at_destinations(all); !looked) return fail(looked.error());
  if (const auto looked = look_at_sets(all); !looked) return fail(looked.error());
  first_ = false;
  return all;
}

std::vector<Change> Watcher::notified() {
  std::vector<Change> all;
  for (const auto& notification : observer_.notifications()) {
    if (const auto* address = std::get_if<AddressChange>(&notification)) {
      if (address->address.link == ipvs_link_name && selection_.matches(address->address.address))
        all.push_back(change_of(*address, names_));
    } else if (const auto* link = std::get_if<LinkChange>(&notification)) {
      if (link->link == ipvs_link_name && !link->present)
        all.push_back({ChangeSign::removed, "link", link->link, "", ""});
      else if (link->link == ipvs_link_name && !link_present_)
        all.push_back({ChangeSign::added, "link", link->link, "", ""});
      if (link->link == ipvs_link_name) link_present_ = link->present;
    }
  }
  return all;
}

}  // namespace ipvsd::ctl
