// The rows of virtual servers and destinations (dump_table.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ctl/dump_table.hpp"
#include "ctl/words.hpp"

namespace ipvsd::ctl {
namespace {

struct StatisticsColumn {
  std::string_view heading;
  std::uint64_t nl::Statistics::*value;
  bool wide_only;
  int dispensable;
};
constexpr std::array statistics_columns{
    StatisticsColumn{"CONNS", &nl::Statistics::connections, false, 5},
    StatisticsColumn{"CONN/S", &nl::Statistics::connection_rate, false, 4},
    StatisticsColumn{"PKTS IN", &nl::Statistics::in_packets, true, 10},
    StatisticsColumn{"PKTS OUT", &nl::Statistics::out_packets, true, 11},
    StatisticsColumn{"BYTES IN", &nl::Statistics::in_bytes, false, 6},
    StatisticsColumn{"BYTES OUT", &nl::Statistics::out_bytes, false, 7},
    StatisticsColumn{"PKT/S IN", &nl::Statistics::in_packet_rate, true, 12},
    StatisticsColumn{"PKT/S OUT", &nl::Statistics::out_packet_rate, true, 13},
    StatisticsColumn{"B/S IN", &nl::Statistics::in_byte_rate, false, 8},
    StatisticsColumn{"B/S OUT", &nl::Statistics::out_byte_rate, false, 9},
};
constexpr std::string_view destination_indent = "  ";
constexpr std::size_t kind_width = std::string_view("direct-route").size();
constexpr std::size_t scaled_width = 6;
constexpr std::size_t exact_width = 10;
// Names of pods end in two hashes; more moves the line.
constexpr std::size_t pod_width = 30;
constexpr std::size_t label_limit = 44;

// Who counts as one client.
std::string client_words(const nl::VirtualServerRecord& record) {
  const auto network = client_network(record);
  if (network.empty()) return "";
  const auto prefix = record.server.client_prefix;
  const bool has_holes =
      record.server.key.family() == Family::ipv4 && prefix != 0 && record.client_netmask != ~0U << (32 - prefix);
  return has_holes ? fmt::format(" per clients' mask {}", network) : fmt::format(" per clients' /{}", prefix);
}

// Connections at which a full destination opens again (ip_vs_dest_update_overload: three quarters unless told).
std::uint64_t reopening(const Destination& destination) {
  if (destination.lower_threshold != 0) return destination.lower_threshold;
  return (std::uint64_t{destination.upper_threshold} * 3 + 3) / 4;
}

std::string notes_of(const nl::VirtualServerRecord& record) {
  const VirtualServer& server = record.server;
  std::vector<std::string> notes;
  if (server.key.fwmark == 0 && server.key.port.number == 0) notes.emplace_back("every port");
  if ((server.flags & flag_persistent) != 0) {
    notes.push_back(fmt::format("persistent {} s", server.timeout));
    notes.back() += client_words(record);
  }
  if ((server.flags & flag_one_packet) != 0) notes.emplace_back("one-packet");
  for (auto& flag : scheduler_flags(server)) notes.push_back(std::move(flag));
  if (!record.persistence_engine.empty()) notes.push_back("persistence by " + record.persistence_engine);
  return fmt::format("{}", fmt::join(notes, ", "));
}

std::string notes_of(const nl::DestinationRecord& record) {
  const Destination& destination = record.observed.destination;
  std::vector<std::string> notes;
  if (destination.weight == 0) notes.emplace_back("draining");
  if (destination.upper_threshold != 0)
    notes.push_back(fmt::format("full at {} connections, open again below {}", destination.upper_threshold,
                                reopening(destination)));
  if (record.observed.persistent_connections != 0)
    notes.push_back(fmt::format("{} persistent", record.observed.persistent_connections));
  if (destination.method == ForwardMethod::tunnel && record.tunnel.type != nl::TunnelType::ipip) {
    notes.emplace_back(tunnel_name(record.tunnel.type));
    if (record.tunnel.port.number != 0) notes.back() += fmt::format(" port {}", record.tunnel.port.number);
  }
  return fmt::format("{}", fmt::join(notes, ", "));
}

std::vector<Column> columns_for(const TableStyle& style) {
  const std::size_t width = style.wide ? exact_width : scaled_width;
  std::vector<Column> columns{{"VIRTUAL SERVER", style.name_width}};
  if (style.label_width != 0) columns.push_back({"SERVICE, POD", style.label_width});
  columns.push_back({"VIA", kind_width, false, 2});
  columns.push_back({"WEIGHT", width, true});
  columns.push_back({"ACTIVE", width, true});
  columns.push_back({"INACTIVE", width, true, 3});
  for (const auto& column : statistics_columns)
    if (style.wide || !column.wide_only)
      columns.push_back({std::string(column.heading), width, true, column.dispensable});
  return columns;
}

}  // namespace

// A row before its numbers are text.
struct ServerTable::Figures {
  std::string_view name;
  std::string_view label;
  std::string_view kind;
  std::optional<std::uint32_t> weight;
  std::uint64_t active = 0;
  std::uint64_t inactive = 0;
};

std::size_t name_width_for(const Observation& observation) {
  // The longest IPv4 destination, and what the IPv6 addresses of pods usually take.
  std::size_t width = destination_indent.size() + std::string_view("255.255.255.255:65535").size();
  for (const auto& record : observation.servers) {
    width = std::max(width, record.server.key.to_string().size());
    if (record.server.key.family() == Family::ipv6)
      width = std::max(width, destination_indent.size() + std::string_view("[fd00:1234:1234:1234::1234]:65535").size());
  }
  return width;
}

std::size_t label_width_for(const Observation& observation, const Names& names) {
  if (names.empty()) return 0;
  std::size_t width = destination_indent.size() + pod_width;
  for (const auto& record : observation.servers)
    if (const auto* frontend = names.of(record.server.key); frontend != nullptr)
      width = std::max(width, frontend->to_string().size());
  return std::min(width, label_limit);
}

ServerTable::ServerTable(const TableStyle& style, const Names& names)
    : style_(style), names_(names), table_(columns_for(style), style.terminal) {}

std::string ServerTable::heading(const Observation& observation) const {
  if (observation.servers.empty())
    return toned(style_.narrowed ? "no virtual server matches" : "no virtual servers", Tone::faint,
                 style_.terminal.colour) +
           '\n';
  return table_.heading();
}

void ServerTable::append_line(std::string& out, const Figures& figures, const nl::Statistics& statistics,
                              const std::string& notes, Tone tone) const {
  auto line = table_.begin(out, tone);
  line.cell(figures.name);
  if (style_.label_width != 0) line.cell(figures.label);
  line.cell(figures.kind);
  const auto number = [&](std::uint64_t value) { line.cell(value, !style_.wide); };
  if (figures.weight)
    line.cell(*figures.weight, false);
  else
    line.cell("");
  number(figures.active);
  number(figures.inactive);
  for (const auto& column : statistics_columns)
    if (style_.wide || !column.wide_only) number(statistics.*column.value);
  line.end(notes);
}

void ServerTable::append_row(std::string& out, const ObservedServer& server) const {
  const auto& record = server.record;
  const auto name = record.server.key.to_string();
  const auto* frontend = names_.of(record.server.key);
  const auto label = frontend == nullptr ? std::string{} : frontend->to_string();
  Figures figures{name, label, record.server.scheduler, {}};
  for (const auto& destination : server.destinations) {
    figures.active += destination.observed.active_connections;
    figures.inactive += destination.observed.inactive_connections;
  }
  auto notes = notes_of(record);
  if (server.destinations.empty()) notes += notes.empty() ? "no destinations" : ", no destinations";
  append_line(out, figures, record.statistics, notes, Tone::strong);
}

// Pods are of the Service's namespace.
std::string ServerTable::pod_label(const IpAddress& address, std::string_view ns) const {
  const auto* pod = names_.pod_at(address);
  if (pod == nullptr) return {};
  return std::string(destination_indent) + (pod->ns == ns ? pod->name : pod->to_string());
}

void ServerTable::append_row(std::string& out, const nl::DestinationRecord& record, std::string_view ns) const {
  const auto& observed = record.observed;
  const Destination& destination = observed.destination;
  auto name = std::string(destination_indent);
  name += destination.key.to_string();
  const auto label = style_.label_width == 0 ? std::string{} : pod_label(destination.key.address, ns);
  const Figures figures{name,
                        label,
                        forward_name(destination.method),
                        destination.weight,
                        observed.active_connections,
                        observed.inactive_connections};
  append_line(out, figures, record.statistics, notes_of(record), destination.weight == 0 ? Tone::warning : Tone::plain);
}

std::string ServerTable::text(const ObservedServer& server) {
  std::string text;
  append(text, server);
  return text;
}

void ServerTable::append(std::string& out, const ObservedServer& server) {
  // Only IPv6 destinations may be longer than was foreseen.
  std::size_t longest = server.record.server.key.to_string().size();
  for (const auto& record : server.destinations)
    if (const auto& key = record.observed.destination.key; key.address.family() == Family::ipv6)
      longest = std::max(longest, destination_indent.size() + key.to_string().size());
  table_.widen(0, longest);
  const auto* frontend = names_.of(server.record.server.key);
  const std::string_view ns = frontend == nullptr ? std::string_view{} : frontend->service.ns;
  append_row(out, server);
  for (const auto& destination : server.destinations) append_row(out, destination, ns);
}

}  // namespace ipvsd::ctl
