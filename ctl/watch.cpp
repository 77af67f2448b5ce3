#include "ctl/watch.hpp"

#include <fmt/format.h>

#include "ctl/json_writer.hpp"
#include "ctl/words.hpp"

namespace ipvsd::ctl {
namespace {

std::string service_name(const VirtualServerKey& key, const Names& names) {
  const auto* frontend = names.of(key);
  return frontend == nullptr ? std::string{} : frontend->to_string();
}

std::string pod_name(const IpAddress& address, const Names& names) {
  const auto* pod = names.pod_at(address);
  return pod == nullptr ? std::string{} : pod->to_string();
}

std::string details_of(const VirtualServer& server) {
  std::string text = server.scheduler;
  if ((server.flags & flag_persistent) != 0) text += fmt::format(", persistent {} s", server.timeout);
  if ((server.flags & flag_one_packet) != 0) text += ", one-packet";
  for (const auto& flag : scheduler_flags(server)) text += ", " + flag;
  return text;
}

std::string details_of(const Destination& destination) {
  std::string text = fmt::format("weight {}", destination.weight);
  if (destination.method != ForwardMethod::masquerade) text += fmt::format(", {}", forward_name(destination.method));
  if (destination.upper_threshold != 0) text += fmt::format(", full at {}", destination.upper_threshold);
  return text;
}

// Calls removed(key, value), changed(key, old, new) and added(key, value), in the order of the keys.
template <class Map, class Removed, class Changed, class Added>
void compare(const Map& before, const Map& after, Removed removed, Changed changed, Added added) {
  auto old = before.begin();
  auto now = after.begin();
  while (old != before.end() || now != after.end()) {
    if (now == after.end() || (old != before.end() && old->first < now->first)) {
      removed(old->first, old->second);
      ++old;
    } else if (old == before.end() || now->first < old->first) {
      added(now->first, now->second);
      ++now;
    } else {
      if (!(old->second == now->second)) changed(old->first, old->second, now->second);
      ++old;
      ++now;
    }
  }
}

std::string_view sign_of(ChangeSign sign) {
  return sign == ChangeSign::added ? "+" : sign == ChangeSign::removed ? "-" : "~";
}

std::string_view word_of(ChangeSign sign) {
  return sign == ChangeSign::added ? "added" : sign == ChangeSign::removed ? "removed" : "changed";
}

Tone tone_of(ChangeSign sign) {
  return sign == ChangeSign::added ? Tone::good : sign == ChangeSign::removed ? Tone::bad : Tone::warning;
}

}  // namespace

WatchedServers watched(const ServerRecords& records) {
  WatchedServers servers;
  for (const auto& record : records) servers.emplace(record.server.key, record.server);
  return servers;
}

WatchedDestinations watched(const ObservedServer& server) {
  WatchedDestinations destinations;
  for (const auto& record : server.destinations)
    destinations.emplace(record.observed.destination.key, record.observed.destination);
  return destinations;
}

std::vector<Change> changes(const WatchedServers& before, const WatchedServers& after, const Names& names) {
  std::vector<Change> all;
  const auto tell = [&](ChangeSign sign, const VirtualServerKey& key, std::string details) {
    all.push_back({sign, "virtual server", key.to_string(), std::move(details), service_name(key, names)});
  };
  compare(
      before, after, [&](const auto& key, const auto&) { tell(ChangeSign::removed, key, ""); },
      [&](const auto& key, const auto& old, const auto& now) {
        tell(ChangeSign::changed, key, details_of(old) + " -> " + details_of(now));
      },
      [&](const auto& key, const auto& server) { tell(ChangeSign::added, key, details_of(server)); });
  return all;
}

std::vector<Change> changes(const VirtualServerKey& server, const WatchedDestinations& before,
                            const WatchedDestinations& after, const Names& names) {
  std::vector<Change> all;
  const auto tell = [&](ChangeSign sign, const DestinationKey& key, std::string details) {
    auto name = service_name(server, names);
    if (const auto pod = pod_name(key.address, names); !pod.empty()) name += (name.empty() ? "" : " ") + pod;
    all.push_back({sign, "destination", server.to_string() + " -> " + key.to_string(), std::move(details), name});
  };
  compare(
      before, after, [&](const auto& key, const auto&) { tell(ChangeSign::removed, key, ""); },
      [&](const auto& key, const auto& old, const auto& now) {
        tell(ChangeSign::changed, key, details_of(old) + " -> " + details_of(now));
      },
      [&](const auto& key, const auto& now) { tell(ChangeSign::added, key, details_of(now)); });
  return all;
}

std::vector<Change> changes(const std::vector<SetEntry>& before, const std::vector<SetEntry>& after,
                            const Names& names) {
  std::vector<Change> all;
  const auto tell = [&](ChangeSign sign, const SetEntry& entry) {
    const VirtualServerKey key{entry.address, entry.protocol, entry.port, 0};
    all.push_back(
        {sign, "set entry", fmt::format("{} {}", entry.set.name(), entry.element()), "", service_name(key, names)});
  };
  auto old = before.begin();
  auto now = after.begin();
  while (old != before.end() || now != after.end()) {
    if (now == after.end() || (old != before.end() && *old < *now)) {
      tell(ChangeSign::removed, *old++);
    } else if (old == before.end() || *now < *old) {
      tell(ChangeSign::added, *now++);
    } else {
      ++old;
      ++now;
    }
  }
  return all;
}

Change change_of(const AddressChange& change, const Names& names) {
  std::string name;
  for (const auto& service : names.at(change.address.address)) name += (name.empty() ? "" : " ") + service;
  return {change.present ? ChangeSign::added : ChangeSign::removed, "address",
          fmt::format("{} on {}", change.address.address.to_string(), printable(change.address.link)), "", name};
}

std::string line_of(const Change& change, std::string_view time, bool colour) {
  auto text = fmt::format("{} {} {}", sign_of(change.sign), change.kind, change.object);
  if (!change.details.empty()) text += " " + printable(change.details);
  text = toned(std::move(text), tone_of(change.sign), colour);
  if (!change.name.empty()) text += "  " + change.name;
  return fmt::format("{} {}\n", time, text);
}

std::string json_of(const Change& change, std::string_view time) {
  std::string text;
  JsonWriter json(text);
  json.begin_object()
      .member("time", time)
      .member("change", word_of(change.sign))
      .member("kind", change.kind)
      .member("object", change.object);
  if (!change.details.empty()) json.member("details", change.details);
  if (!change.name.empty()) json.member("name", change.name);
  json.end_object();
  return text + "\n";
}

}  // namespace ipvsd::ctl
