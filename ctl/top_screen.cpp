// Keys and screens of top.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ctl/top.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::size_t label_limit = 60;
constexpr std::size_t search_limit = 64;

struct Sequence {
  std::string_view bytes;
  Key key;
};
// What xterm, the Linux console and screen send.
constexpr std::array sequences{
    Sequence{"\033[A", Key::up},   Sequence{"\033OA", Key::up},       Sequence{"\033[B", Key::down},
    Sequence{"\033OB", Key::down}, Sequence{"\033[5~", Key::page_up}, Sequence{"\033[6~", Key::page_down},
    Sequence{"\033[H", Key::home}, Sequence{"\033OH", Key::home},     Sequence{"\033[1~", Key::home},
    Sequence{"\033[F", Key::end},  Sequence{"\033OF", Key::end},      Sequence{"\033[4~", Key::end},
    Sequence{"\r", Key::enter},    Sequence{"\n", Key::enter},        Sequence{"\177", Key::erase},
    Sequence{"\b", Key::erase},
};

// Of an escape sequence that is none of ours: up to its final byte.
std::size_t sequence_length(std::string_view text) {
  if (text.size() < 2 || (text[1] != '[' && text[1] != 'O')) return 1;
  for (std::size_t i = 2; i < text.size(); ++i)
    if (text[i] >= 0x40 && text[i] <= 0x7e) return i + 1;
  return text.size();
}

Table table_for(std::span<const TopService> services, const TopEndpoints& endpoints, const Terminal& terminal) {
  std::size_t label = 24;
  for (const auto& service : services) {
    label = std::max(label, service.label.size());
    if (const auto found = endpoints.find(service.label); found != endpoints.end())
      for (const auto& endpoint : found->second) label = std::max(label, endpoint.label.size() + 2);
  }
  return {{{"SERVICE", std::min(label, label_limit)},
           {"CONN/S", 6, true},
           {"PKT/S IN", 8, true, 3},
           {"PKT/S OUT", 9, true, 4},
           {"B/S IN", 6, true, 1},
           {"B/S OUT", 7, true, 2},
           {"CONNS", 6, true, 5},
           {"ACTIVE", 6, true, 6},
           {"WEIGHT", 6, true, 7}},
          terminal};
}

void append_rates(Table::Line& line, const nl::Statistics& sum) {
  line.cell(sum.connection_rate, true)
      .cell(sum.in_packet_rate, true)
      .cell(sum.out_packet_rate, true)
      .cell(sum.in_byte_rate, true)
      .cell(sum.out_byte_rate, true)
      .cell(sum.connections, true);
}

std::string service_line(const Table& table, const TopService& service, Tone tone) {
  std::string text;
  auto line = table.begin(text, tone);
  line.cell(service.label);
  append_rates(line, service.sum);
  line.cell("").cell("").end();
  return text;
}

std::string endpoint_line(const Table& table, const TopEndpoint& endpoint) {
  std::string text;
  auto line = table.begin(text, endpoint.weight == 0 ? Tone::warning : Tone::plain);
  line.cell("  " + endpoint.label);
  append_rates(line, endpoint.sum);
  line.cell(endpoint.active, true).cell(endpoint.weight, false);
  line.end(endpoint.weight == 0 ? "draining  " + endpoint.pod : endpoint.pod);
  return text;
}

constexpr std::string_view help_text =
    "up, down, page up, page down, home, end   move (also k and j)\n"
    "enter or space                            unfold the endpoints of the Service, or fold them\n"
    "c, p, b, n                                order by connections, packets, bytes, name\n"
    "/                                         search in the names; enter keeps, escape forgets\n"
    "q                                         leave\n"
    "\n"
    "Rates are the kernel's own, which it renews every two seconds. In: from clients to endpoints.\n"
    "any key to go on\n";

}  // namespace

KeyPress take_key(std::string_view& text) {
  for (const auto& [bytes, key] : sequences) {
    if (!text.starts_with(bytes)) continue;
    text.remove_prefix(bytes.size());
    return {key};
  }
  if (text.front() == '\033') {
    const auto length = sequence_length(text);
    text.remove_prefix(length);
    return {length == 1 ? Key::escape : Key::none};
  }
  const char letter = text.front();
  text.remove_prefix(1);
  if (letter == 3 || letter == 4) return {Key::other, 'q'};  // ^C and ^D, where the terminal makes no signal of them
  if (letter < 0x20 || letter > 0x7e) return {};
  return {Key::other, letter};
}

void TopState::press(const KeyPress& key, std::span<const TopService> shown) {
  if (help && key.key != Key::none) {
    help = false;
    return;
  }
  if (searching) {
    if (key.key == Key::escape) search.clear();
    if (key.key == Key::escape || key.key == Key::enter) searching = false;
    if (key.key == Key::erase && !search.empty()) search.pop_back();
    if (key.key == Key::other && search.size() < search_limit) search += key.letter;
    cursor = first = 0;
    return;
  }
  const auto back = [&](std::size_t lines) { cursor -= std::min(cursor, lines); };
  const auto toggle = [&] {
    if (cursor < shown.size() && unfolded.erase(shown[cursor].label) == 0) unfolded.insert(shown[cursor].label);
  };
  switch (key.key) {
    case Key::up: back(1); break;
    case Key::down: ++cursor; break;
    case Key::page_up: back(rows); break;
    case Key::page_down: cursor += rows; break;
    case Key::home: cursor = 0; break;
    case Key::end: cursor = shown.size(); break;
    case Key::enter: toggle(); break;
    case Key::escape: search.clear(); break;
    case Key::erase:
    case Key::none: break;
    case Key::other:
      switch (key.letter) {
        case 'q': quit = true; break;
        case 'k': back(1); break;
        case 'j': ++cursor; break;
        case ' ': toggle(); break;
        case 'c': order = TopOrder::connections; break;
        case 'p': order = TopOrder::packets; break;
        case 'b': order = TopOrder::bytes; break;
        case 'n': order = TopOrder::name; break;
        case '/': searching = true; break;
        case 'h':
        case '?': help = true; break;
        default: break;
      }
  }
  settle(*this, shown.size());
}

void settle(TopState& state, std::size_t services) {
  state.cursor = services == 0 ? 0 : std::min(state.cursor, services - 1);
  state.first = std::min(state.first, state.cursor);
  const auto rows = std::max<std::size_t>(state.rows, 1);
  if (state.cursor >= state.first + rows) state.first = state.cursor - rows + 1;
}

std::string top_screen(const TopState& state, std::span<const TopService> shown, const TopEndpoints& endpoints,
                       const Terminal& terminal) {
  if (state.help) return std::string(help_text);
  nl::Statistics all;
  for (const auto& service : shown) {
    all.connection_rate += service.sum.connection_rate;
    all.in_byte_rate += service.sum.in_byte_rate;
    all.out_byte_rate += service.sum.out_byte_rate;
  }
  std::string text = cut(fmt::format("{} Services, {} conn/s, {} B/s in, {} B/s out, by {}; h helps", shown.size(),
                                     scaled(all.connection_rate), scaled(all.in_byte_rate), scaled(all.out_byte_rate),
                                     to_string(state.order)),
                         terminal) +
                     '\n';
  text += state.searching || !state.search.empty() ? cut("search: " + state.search, terminal) + '\n' : "\n";
  const auto last = std::min(shown.size(), state.first + state.rows);
  const auto visible = shown.subspan(std::min(state.first, last), last - std::min(state.first, last));
  const auto table = table_for(visible, endpoints, terminal);
  text += table.heading();
  std::size_t used = 0;
  for (std::size_t i = 0; i < visible.size() && used < state.rows; ++i) {
    const bool chosen = state.first + i == state.cursor;
    // Without colour too, where one is.
    if (chosen) text += terminal.colour ? "\033[7m" : "";
    text += service_line(table, visible[i], chosen ? Tone::plain : Tone::strong);
    if (chosen && terminal.colour) text.insert(text.size() - 1, "\033[0m");
    ++used;
    const auto found = endpoints.find(visible[i].label);
    if (found == endpoints.end() || !state.unfolded.contains(visible[i].label)) continue;
    for (const auto& endpoint : found->second) {
      if (used++ >= state.rows) break;
      text += endpoint_line(table, endpoint);
    }
  }
  return text;
}

std::string top_table(std::span<const TopService> services, const TopEndpoints& endpoints, const Terminal& terminal) {
  if (services.empty()) return "no virtual servers\n";
  const auto table = table_for(services, endpoints, terminal);
  std::string text = table.heading();
  for (const auto& service : services) {
    text += service_line(table, service, Tone::strong);
    if (const auto found = endpoints.find(service.label); found != endpoints.end())
      for (const auto& endpoint : found->second) text += endpoint_line(table, endpoint);
  }
  return text;
}

}  // namespace ipvsd::ctl
