#include "ctl/dump_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "ctl/words.hpp"

namespace ipvsd::ctl {
namespace {

enum class Tone : std::uint8_t { plain, strong, faint, warning };

std::string toned(std::string text, Tone tone, const TableStyle& style) {
  if (!style.colour || tone == Tone::plain) return text;
  const std::string_view code = tone == Tone::strong ? "1" : tone == Tone::faint ? "2" : "33";
  return fmt::format("\033[{}m{}\033[0m", code, text);
}

struct Row {
  std::string name;
  std::string kind;                  // scheduler or forwarding method
  std::vector<std::string> figures;  // as many as there are columns()
  std::string notes;
  Tone tone = Tone::plain;
};

struct Column {
  std::string_view heading;
  std::uint64_t nl::Statistics::*value;
  bool wide_only;
};
constexpr std::array columns{
    Column{"CONNS", &nl::Statistics::connections, false},
    Column{"CONN/S", &nl::Statistics::connection_rate, false},
    Column{"PKTS IN", &nl::Statistics::in_packets, true},
    Column{"PKTS OUT", &nl::Statistics::out_packets, true},
    Column{"BYTES IN", &nl::Statistics::in_bytes, false},
    Column{"BYTES OUT", &nl::Statistics::out_bytes, false},
    Column{"PKT/S IN", &nl::Statistics::in_packet_rate, true},
    Column{"PKT/S OUT", &nl::Statistics::out_packet_rate, true},
    Column{"B/S IN", &nl::Statistics::in_byte_rate, false},
    Column{"B/S OUT", &nl::Statistics::out_byte_rate, false},
};
// Weight, active and inactive connections go before these.
constexpr std::array fixed_headings{"WEIGHT", "ACTIVE", "INACTIVE"};
constexpr std::string_view destination_indent = "  ";
constexpr std::size_t kind_width = std::string_view("direct-route").size();
constexpr std::size_t scaled_width = 6;
constexpr std::size_t exact_width = 10;

std::string figure(std::uint64_t value, const TableStyle& style) {
  return style.wide ? fmt::format("{}", value) : scaled(value);
}

void append_statistics(std::vector<std::string>& figures, const nl::Statistics& statistics, const TableStyle& style) {
  for (const auto& column : columns)
    if (style.wide || !column.wide_only) figures.push_back(figure(statistics.*column.value, style));
}

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

Row row_of(const ObservedServer& server, const TableStyle& style) {
  std::uint64_t active = 0;
  std::uint64_t inactive = 0;
  for (const auto& destination : server.destinations) {
    active += destination.observed.active_connections;
    inactive += destination.observed.inactive_connections;
  }
  const auto& record = server.record;
  Row row{record.server.key.to_string(),
          record.server.scheduler,
          {"", figure(active, style), figure(inactive, style)},
          notes_of(record),
          Tone::strong};
  append_statistics(row.figures, record.statistics, style);
  if (server.destinations.empty()) row.notes += row.notes.empty() ? "no destinations" : ", no destinations";
  return row;
}

Row row_of(const nl::DestinationRecord& record, const TableStyle& style) {
  const auto& observed = record.observed;
  const Destination& destination = observed.destination;
  Row row{std::string(destination_indent) + destination.key.to_string(),
          std::string(forward_name(destination.method)),
          {fmt::format("{}", destination.weight), figure(observed.active_connections, style),
           figure(observed.inactive_connections, style)},
          notes_of(record),
          destination.weight == 0 ? Tone::warning : Tone::plain};
  append_statistics(row.figures, record.statistics, style);
  return row;
}

Row heading_row(const TableStyle& style) {
  Row row{"VIRTUAL SERVER", "VIA", {fixed_headings.begin(), fixed_headings.end()}, "", Tone::faint};
  for (const auto& column : columns)
    if (style.wide || !column.wide_only) row.figures.emplace_back(column.heading);
  return row;
}

std::string render(std::span<const Row> rows, const TableStyle& style) {
  std::size_t name = style.name_width;
  std::size_t kind = kind_width;
  std::vector<std::size_t> widths;
  for (const auto& heading : heading_row(style).figures)
    widths.push_back(std::max(heading.size(), style.wide ? exact_width : scaled_width));
  for (const auto& row : rows) {
    name = std::max(name, row.name.size());
    kind = std::max(kind, row.kind.size());
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row.figures[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = fmt::format("{:<{}}  {:<{}}", row.name, name, row.kind, kind);
    for (std::size_t i = 0; i < widths.size(); ++i) line += fmt::format("  {:>{}}", row.figures[i], widths[i]);
    if (!row.notes.empty()) line += "  " + row.notes;
    text += toned(std::move(line), row.tone, style) + '\n';
  }
  return text;
}

std::string addresses_text(const ObservedLink& link, const TableStyle& style) {
  if (!link.present) return toned(fmt::format("no link {}", ipvs_link_name), Tone::faint, style) + '\n';
  std::string text =
      toned(fmt::format("ADDRESSES on {}: {}", ipvs_link_name, link.addresses.size()), Tone::faint, style) + '\n';
  for (const auto& address : link.addresses) {
    text += fmt::format("{}{}", destination_indent, address.address.to_string());
    if (address.prefix != address.address.max_prefix()) text += fmt::format("/{}", address.prefix);
    text += '\n';
  }
  return text;
}

std::string set_text(const ObservedSet& set, std::size_t name, std::size_t type, const TableStyle& style) {
  if (!set.error.empty())
    return toned(fmt::format("{:<{}}  {}", set.set.name(), name, set.error), Tone::warning, style) + '\n';
  std::string line =
      fmt::format("{:<{}}  {:<{}}  {:>7}", set.set.name(), name, to_string(set.set.type()), type, set.count);
  if (!set.members) return line + '\n';
  std::string text = toned(std::move(line), Tone::strong, style) + '\n';
  for (const auto& member : *set.members) text += fmt::format("{}{}\n", destination_indent, member.element());
  return text;
}

}  // namespace

std::string scaled(std::uint64_t value) {
  if (value < 100'000) return fmt::format("{}", value);
  auto rest = value;
  std::uint64_t fraction = 0;  // thousandths
  std::size_t unit = 0;
  for (; rest >= 1000; ++unit) {
    fraction = rest % 1000;
    rest /= 1000;
  }
  const char letter = std::string_view(" kMGTPE")[unit];
  if (rest >= 100) return fmt::format("{}{}", rest, letter);
  if (rest >= 10) return fmt::format("{}.{}{}", rest, fraction / 100, letter);
  return fmt::format("{}.{:02}{}", rest, fraction / 10, letter);
}

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

std::string table_heading(const Observation& observation, const TableStyle& style) {
  if (observation.servers.empty())
    return toned(style.narrowed ? "no virtual server matches" : "no virtual servers", Tone::faint, style) + '\n';
  const std::array rows{heading_row(style)};
  return render(rows, style);
}

std::string table_text(const ObservedServer& server, const TableStyle& style) {
  std::vector<Row> rows{row_of(server, style)};
  rows.reserve(1 + server.destinations.size());
  for (const auto& destination : server.destinations) rows.push_back(row_of(destination, style));
  return render(rows, style);
}

std::string table_rest(const Observation& observation, const TableStyle& style) {
  std::string text = '\n' + addresses_text(observation.link, style) + '\n';
  if (observation.sets.empty()) return text + toned("no KUBE sets", Tone::faint, style) + '\n';
  // With members, what has none is of no interest.
  std::vector<const ObservedSet*> shown;
  for (const auto& set : observation.sets)
    if (!set.members || !set.members->empty()) shown.push_back(&set);
  text += toned(fmt::format("SETS: {}", observation.sets.size()), Tone::faint, style) + '\n';
  std::size_t name = 0;
  std::size_t type = 0;
  for (const auto* set : shown) {
    name = std::max(name, set->set.name().size());
    type = std::max(type, to_string(set->set.type()).size());
  }
  for (const auto* set : shown) text += set_text(*set, name, type, style);
  return text;
}

}  // namespace ipvsd::ctl
