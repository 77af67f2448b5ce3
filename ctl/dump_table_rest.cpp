// What follows the virtual servers in the table (dump_table.hpp).
#include <fmt/format.h>

#include <algorithm>

#include "ctl/dump_table.hpp"
#include "ctl/observe_rules.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::string_view indent = "  ";

std::string title(std::string text, const TableStyle& style) {
  return toned(std::move(text), Tone::faint, style.terminal.colour) + '\n';
}

std::string addresses_text(const ObservedLink& link, const TableStyle& style) {
  if (!link.present) return title(fmt::format("no link {}", ipvs_link_name), style);
  std::string text = title(fmt::format("ADDRESSES on {}: {}", ipvs_link_name, link.addresses.size()), style);
  for (const auto& address : link.addresses) {
    text += fmt::format("{}{}", indent, address.address.to_string());
    if (address.prefix != address.address.max_prefix()) text += fmt::format("/{}", address.prefix);
    text += '\n';
  }
  for (const auto& route : link.routes) {
    text += fmt::format("{}{} by local route", indent, route.destination.to_string());
    if (route.source) text += fmt::format(", from the node as {}", route.source->to_string());
    text += '\n';
  }
  return text;
}

std::string set_text(const ObservedSet& set, std::size_t name, std::size_t type, const TableStyle& style) {
  if (!set.error.empty())
    return toned(cut(fmt::format("{:<{}}  {}", set.set.name(), name, set.error), style.terminal), Tone::warning,
                 style.terminal.colour) +
           '\n';
  std::string line =
      fmt::format("{:<{}}  {:<{}}  {:>7}", set.set.name(), name, to_string(set.set.type()), type, set.count);
  if (!set.members) return line + '\n';
  std::string text = toned(std::move(line), Tone::strong, style.terminal.colour) + '\n';
  for (const auto& member : *set.members) text += fmt::format("{}{}\n", indent, member.element());
  return text;
}

std::string sets_text(const std::vector<ObservedSet>& sets, const TableStyle& style) {
  if (sets.empty()) return title("no KUBE sets", style);
  // With members, what has none is of no interest.
  std::vector<const ObservedSet*> shown;
  for (const auto& set : sets)
    if (!set.members || !set.members->empty()) shown.push_back(&set);
  std::string text = title(fmt::format("SETS: {}", sets.size()), style);
  std::size_t name = 0;
  std::size_t type = 0;
  for (const auto* set : shown) {
    name = std::max(name, set->set.name().size());
    type = std::max(type, to_string(set->set.type()).size());
  }
  for (const auto* set : shown) text += set_text(*set, name, type, style);
  return text;
}

std::string rules_text(const ObservedRules& rules, const TableStyle& style) {
  if (!rules.error.empty())
    return toned(fmt::format("RULES for {}: {}", to_string(rules.family), rules.error), Tone::warning,
                 style.terminal.colour) +
           '\n';
  if (rules.chains.empty()) return title(fmt::format("no KUBE rules for {}", to_string(rules.family)), style);
  std::size_t count = 0;
  for (const auto& chain : rules.chains) count += chain.rules.size();
  std::string text = title(fmt::format("RULES for {} ({}): {} in {} chains", to_string(rules.family), rules.backend,
                                       count, rules.chains.size()),
                           style);
  if (!style.rules) return text;
  for (const auto& chain : rules.chains) {
    text += toned(fmt::format("{}{} {}", indent, chain.table, chain.name), Tone::strong, style.terminal.colour) + '\n';
    for (const auto& rule : chain.rules) text += fmt::format("{}{}{}\n", indent, indent, printable(rule));
  }
  return text;
}

std::string settings_text(const Observation& observation, const TableStyle& style) {
  std::string text;
  if (const auto& timeouts = observation.timeouts; timeouts)
    text += '\n' + title(fmt::format("TIMEOUTS: tcp {} s, tcp after FIN {} s, udp {} s", timeouts->tcp.count(),
                                     timeouts->tcp_fin.count(), timeouts->udp.count()),
                         style);
  if (observation.sysctls.empty()) return text;
  text += '\n' + title(style.wide ? "SYSCTLS" : "SYSCTLS (all of them: -o wide)", style);
  for (const auto& [name, value] : observation.sysctls)
    if (style.wide || is_essential_sysctl(name)) text += fmt::format("{}{} = {}\n", indent, name, value);
  return text;
}

Table connections_table(const TableStyle& style) {
  return {{{"PROTOCOL", 8, false, 1},
           {"CLIENT", 21},
           {"VIRTUAL SERVER", 21},
           {"DESTINATION", 21},
           {"STATE", 11, false, 2},
           {"EXPIRES", 7, true, 3}},
          style.terminal};
}

}  // namespace

std::string table_rest(const Observation& observation, const TableStyle& style) {
  std::string text = '\n' + addresses_text(observation.link, style) + '\n' + sets_text(observation.sets, style);
  if (!observation.rules.empty()) text += '\n';
  for (const auto& rules : observation.rules) text += rules_text(rules, style);
  return text + settings_text(observation, style);
}

std::string connections_heading(const TableStyle& style) {
  return '\n' + title("CONNECTIONS", style) + connections_table(style).heading();
}

std::string table_text(const Connection& connection, const Names& names, const TableStyle& style) {
  const auto* frontend = names.of({connection.address, connection.protocol, connection.port, 0});
  const auto* pod = names.pod_at(connection.destination.address);
  std::string notes = frontend == nullptr ? "" : frontend->to_string();
  if (pod != nullptr) notes += fmt::format("{}{}", notes.empty() ? "" : " -> ", pod->to_string());
  if (connection.client_port.number == 0) notes += notes.empty() ? "template" : ", template";
  return connections_table(style).line(
      {{std::string(connection.protocol == Protocol::none ? std::string_view("any") : to_string(connection.protocol)),
        format_socket(connection.client, connection.client_port), format_socket(connection.address, connection.port),
        connection.destination.to_string(), connection.state, fmt::format("{}s", connection.expires)},
       notes,
       Tone::plain});
}

}  // namespace ipvsd::ctl
