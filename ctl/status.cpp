#include "ctl/status.hpp"

#include <fmt/format.h>

#include "ctl/output.hpp"

namespace ipvsd::ctl {
namespace {

using Json = nlohmann::ordered_json;

// A member as text, whatever it is; "" if it is not there.
std::string text(const Json& json, const char* name) {
  if (!json.is_object() || !json.contains(name) || json[name].is_null()) return {};
  const auto& value = json[name];
  if (value.is_string()) return printable(value.get<std::string>());
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

const Json& list(const Json& json, const char* name) {
  static const Json empty = Json::array();
  return json.is_object() && json.contains(name) && json[name].is_array() ? json[name] : empty;
}

bool truth(const Json& json, const char* name) {
  return json.is_object() && json.contains(name) && json[name].is_boolean() && json[name].get<bool>();
}

std::string joined(const Json& values) {
  std::string all;
  for (const auto& value : values)
    if (value.is_string()) all += (all.empty() ? "" : ", ") + printable(value.get<std::string>());
  return all;
}

// What of a list of `shown` is not shown.
std::string rest(const Json& status, const char* count, std::size_t shown) {
  if (!status.contains(count) || !status[count].is_number_unsigned()) return {};
  const auto all = status[count].get<std::uint64_t>();
  return all > shown ? fmt::format("  and {} more\n", all - shown) : "";
}

std::string source_line(const Json& source) {
  auto line = fmt::format("  {:<16} {:<13} {:<12} {} events, {} lists, {} watches", text(source, "resource"),
                          truth(source, "synced") ? "synced" : "not synced",
                          truth(source, "connected") ? "connected" : "disconnected", text(source, "events"),
                          text(source, "lists"), text(source, "watches"));
  if (const auto rejected = text(source, "rejected"); rejected != "0" && !rejected.empty())
    line += fmt::format(", {} objects refused", rejected);
  if (const auto error = text(source, "lastError"); !error.empty()) line += "\n    last error: " + error;
  return line + "\n";
}

std::string dirty_lines(const Json& status) {
  const auto& dirty = list(status, "dirty");
  if (dirty.empty()) return {};
  std::string lines = "\nCould not be written\n";
  for (const auto& one : dirty) {
    lines += fmt::format("  {}", text(one, "object"));
    if (const auto services = joined(list(one, "services")); !services.empty()) lines += " of " + services;
    lines += fmt::format("\n    {}\n    attempt {}, next in {} s\n", text(one, "error"), text(one, "attempts"),
                         text(one, "nextRetrySeconds"));
  }
  return lines + rest(status, "dirtyCount", dirty.size());
}

std::string conflict_lines(const Json& status) {
  const auto& conflicts = list(status, "conflicts");
  if (conflicts.empty()) return {};
  std::string lines = "\nConflicts\n";
  for (const auto& one : conflicts)
    lines += fmt::format("  {} is {}'s; {} wants it too\n", text(one, "virtualServer"), text(one, "owner"),
                         text(one, "loser"));
  return lines + rest(status, "conflictCount", conflicts.size());
}

}  // namespace

Result<Json> parse_status(std::string_view text) {
  auto json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("healthy") || !json["healthy"].is_boolean())
    return fail(Errc::malformed, "the daemon's status is not what this kube-ipvsctl understands");
  return json;
}

bool is_healthy(const Json& status) { return truth(status, "healthy"); }

std::vector<std::pair<std::string, std::string>> failing_objects(const Json& status) {
  std::vector<std::pair<std::string, std::string>> objects;
  for (const auto& one : list(status, "dirty")) objects.emplace_back(text(one, "object"), text(one, "error"));
  return objects;
}

std::string status_table(const Json& status) {
  std::string all =
      fmt::format("kube-ipvsd {} (pid {}) on node {}, up {} s: {}\n", text(status, "version"), text(status, "pid"),
                  text(status, "node"), text(status, "uptimeSeconds"), is_healthy(status) ? "healthy" : "NOT HEALTHY");
  for (const auto& problem : list(status, "problems"))
    if (problem.is_string()) all += fmt::format("  {}\n", printable(problem.get<std::string>()));
  all += "\nSources\n";
  for (const auto& source : list(status, "sources")) all += source_line(source);
  const auto event = status.value("lastEvent", Json());
  all += event.is_object() ? fmt::format("  last event {} s ago, {}\n", text(event, "secondsAgo"), text(event, "time"))
                           : "  no event yet\n";
  all += fmt::format("\nServices {}, virtual servers {}, waiting {}, draining {}\n", text(status, "services"),
                     text(status, "virtualServers"), text(status, "pendingServices"), text(status, "drainingCount"));
  const auto drift = status.value("drift", Json());
  all += fmt::format("Audits {}, drift repaired: {} virtual servers, {} addresses, {} set entries; {} retries\n",
                     text(status, "audits"), text(drift, "virtualServers"), text(drift, "addresses"),
                     text(drift, "setEntries"), text(status, "retries"));
  return all + dirty_lines(status) + conflict_lines(status);
}

}  // namespace ipvsd::ctl
