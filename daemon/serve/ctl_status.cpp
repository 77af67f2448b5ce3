#include "daemon/serve/ctl_status.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ipvsd {
namespace {

using Json = nlohmann::ordered_json;

// Of each list, with a number that says how many there are in all.
constexpr std::size_t list_limit = 100;

struct Dirty {
  ObjectId id;
  Error error;
  std::uint32_t attempts = 0;
  double retry_seconds = 0;
};

// What the loop copies.
struct Snapshot {
  std::optional<Moment> last_event;
  bool rules_in_place = false;
  bool synced = false;
  bool listed = false;
  std::size_t services = 0;
  std::size_t servers = 0;
  std::size_t pending = 0;
  std::size_t dirty_count = 0;
  std::vector<Dirty> dirty;
  std::size_t conflict_count = 0;
  std::vector<Conflict> conflicts;
  std::size_t draining_count = 0;
  std::vector<VirtualServerKey> draining;
  Reconciler::Counters counters;
};

template <class T>
void keep_first(std::vector<T>& values) {
  if (values.size() > list_limit) values.resize(list_limit);
}

Snapshot snapshot(const LoopView& view) {
  const auto& reconciler = view.reconciler;
  Snapshot taken;
  taken.last_event = view.last_event;
  taken.rules_in_place = view.rules_in_place;
  taken.synced = reconciler.synced();
  taken.listed = reconciler.cluster().synced();
  taken.services = reconciler.cluster().service_count();
  taken.servers = reconciler.ledger().server_count();
  taken.pending = reconciler.cluster().touched();
  taken.counters = reconciler.counters();
  taken.dirty_count = reconciler.retries().entries().size();
  for (const auto& [id, entry] : reconciler.retries().entries()) {
    if (taken.dirty.size() == list_limit) break;
    const std::chrono::duration<double> left = entry.due - view.now.steady;
    taken.dirty.push_back({id, entry.error, entry.attempts, std::max(left.count(), 0.0)});
  }
  taken.conflicts = reconciler.ledger().conflicts();
  taken.conflict_count = taken.conflicts.size();
  keep_first(taken.conflicts);
  for (const auto& [key, since] : reconciler.ledger().draining()) {
    if (taken.draining.size() == list_limit) break;
    taken.draining.push_back(key);
  }
  taken.draining_count = reconciler.ledger().draining().size();
  return taken;
}

double rounded(double seconds) { return static_cast<double>(static_cast<std::int64_t>(seconds * 1000)) / 1000; }

double seconds_between(Moment from, Moment to) {
  return rounded(std::chrono::duration<double>(to.steady - from.steady).count());
}

Json sources_json(const std::vector<WatchStatus>& sources) {
  Json list = Json::array();
  for (const auto& source : sources)
    list.push_back({{"resource", source.resource},
                    {"synced", source.synced},
                    {"connected", source.connected},
                    {"lastError", source.last_error},
                    {"events", source.events},
                    {"lists", source.lists},
                    {"watches", source.watches},
                    {"rejected", source.rejected}});
  return list;
}

// Each is a question of its own, since the loop may have to look through all Services for it.
Result<Json> dirty_json(const Snapshot& taken, Questions& questions) {
  Json list = Json::array();
  for (const auto& dirty : taken.dirty) {
    const auto claimants = questions.ask(
        [id = dirty.id](const LoopView& view) { return view.reconciler.ledger().claimants(id, list_limit); });
    if (!claimants) return fail(claimants.error());
    Json services = Json::array();
    for (const auto& service : *claimants) services.push_back(service.to_string());
    list.push_back({{"object", to_string(dirty.id)},
                    {"services", std::move(services)},
                    {"error", dirty.error.message()},
                    {"attempts", dirty.attempts},
                    {"nextRetrySeconds", rounded(dirty.retry_seconds)}});
  }
  return list;
}

Json conflicts_json(const std::vector<Conflict>& conflicts) {
  Json list = Json::array();
  for (const auto& conflict : conflicts)
    list.push_back({{"virtualServer", conflict.server.to_string()},
                    {"owner", conflict.owner.to_string()},
                    {"loser", conflict.loser.to_string()}});
  return list;
}

// What an operator should look at; none: healthy.
Json problems(const CtlFacts& facts, const Snapshot& taken, const std::vector<WatchStatus>& sources, Moment now) {
  Json list = Json::array();
  for (const auto& source : sources) {
    if (source.synced && source.connected) continue;
    list.push_back(fmt::format("source {}: {}{}", source.resource,
                               source.synced ? "the watch is broken off" : "no complete list has been read yet",
                               source.last_error.empty() ? "" : ": " + source.last_error));
  }
  if (!taken.rules_in_place) {
    const auto error = facts.rules_error();
    list.push_back("the iptables rules are not in place" + (error.empty() ? error : ": " + error));
  } else if (taken.listed && !taken.synced) {
    list.push_back("the first complete view is not in the kernel yet");
  }
  if (taken.dirty_count > 0) list.push_back(fmt::format("{} objects could not be written", taken.dirty_count));
  if (!facts.health(now).healthy) list.push_back("changes have waited too long to be written (/livez fails)");
  return list;
}

}  // namespace

Result<std::string> status_json(const CtlFacts& facts, Questions& questions) {
  const auto taken = questions.ask(snapshot);
  if (!taken) return fail(taken.error());
  auto dirty = dirty_json(*taken, questions);
  if (!dirty) return fail(dirty.error());
  const auto now = Moment::now();
  const auto sources = facts.sources();
  auto found = problems(facts, *taken, sources, now);

  Json json{{"version", facts.version},
            {"pid", ::getpid()},
            {"node", facts.policy.node_name},
            {"uptimeSeconds", seconds_between(facts.started, now)},
            {"healthy", found.empty()},
            {"problems", std::move(found)},
            {"synced", taken->synced},
            {"rulesInPlace", taken->rules_in_place},
            {"sources", sources_json(sources)},
            {"lastEvent", nullptr},
            {"services", taken->services},
            {"virtualServers", taken->servers},
            {"pendingServices", taken->pending},
            {"dirtyCount", taken->dirty_count},
            {"dirty", std::move(*dirty)},
            {"retries", taken->counters.retries},
            {"audits", taken->counters.audits},
            {"drift",
             {{"virtualServers", taken->counters.drift_servers},
              {"addresses", taken->counters.drift_addresses},
              {"setEntries", taken->counters.drift_entries},
              {"routes", taken->counters.drift_routes}}},
            {"conflictCount", taken->conflict_count},
            {"conflicts", conflicts_json(taken->conflicts)},
            {"drainingCount", taken->draining_count},
            {"draining", Json::array()}};
  if (taken->last_event)
    json["lastEvent"] = {
        {"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                             fmt::gmtime(std::chrono::system_clock::to_time_t(taken->last_event->wall)))},
        {"secondsAgo", seconds_between(*taken->last_event, now)}};
  for (const auto& key : taken->draining) json["draining"].push_back(key.to_string());
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ipvsd
