#include "ipset/listing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace ipvsd {
namespace {

constexpr std::string_view members_line = "Members:";

// Takes the first line, without its end, off `rest`.
std::string_view take_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

// Takes the first word off `rest`; empty at the end.
std::string_view take_word(std::string_view& rest) {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const auto word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

tl::unexpected<Error> malformed(std::string_view name, std::string_view line, std::string_view why) {
  return fail(Errc::malformed, fmt::format("ipset {}: line \"{}\": {}", name, line.substr(0, 128), why));
}

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// How the kernel lays a set out, and extensions that only add to an entry.
constexpr std::array<std::string_view, 3> harmless_values{"hashsize", "bucketsize", "initval"};
constexpr std::array<std::string_view, 3> harmless_flags{"counters", "comment", "skbinfo"};

Result<void> parse_options(std::string_view name, std::string_view line, SetHeader& header) {
  std::string_view rest = line;
  while (true) {
    const auto word = take_word(rest);
    if (word.empty()) return {};
    if (word == "skbinfo") header.skbinfo = true;
    if (contains(harmless_flags, word)) continue;
    if (word == "forceadd") {
      header.unwanted += " forceadd";
      continue;
    }
    const auto value = take_word(rest);
    if (value.empty()) return malformed(name, line, fmt::format("option {} has no value", word.substr(0, 32)));
    if (word == "family") {
      header.family = value;
    } else if (word == "range") {
      header.range = value;
    } else if (word == "maxelem") {
      const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), header.maxelem);
      if (ec != std::errc{} || end != value.data() + value.size()) return malformed(name, line, "maxelem is no number");
    } else if (!contains(harmless_values, word)) {
      header.unwanted += fmt::format(" {} {}", word, value);
    }
  }
}

// Stops behind "Members:", which a listing must have and a header alone does not.
Result<SetHeader> take_header(std::string_view name, std::string_view& rest, bool with_members) {
  SetHeader header;
  bool named = false;
  bool typed = false;
  bool described = false;
  bool ended = false;
  while (!rest.empty()) {
    const auto line = take_line(rest);
    if (line == members_line) {
      ended = true;
      break;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return malformed(name, line, "expected a header field");
    const auto field = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    if (field == "Header") {
      if (const auto parsed = parse_options(name, value, header); !parsed) return fail(parsed.error());
      described = true;
      continue;
    }
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (field == "Name") {
      if (value != name) return malformed(name, line, "another set");
      named = true;
    } else if (field == "Type") {
      header.type = value;
      typed = true;
    }
  }
  if (!named || !typed || !described || ended != with_members)
    return malformed(name, "", "the listing breaks off in its header");
  return header;
}

// "0x5/0x7f", or "0x5" with every bit in the mask.
std::optional<Mark> parse_mark(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::optional<std::uint32_t> {
    if (!digits.starts_with("0x")) return {};
    digits.remove_prefix(2);
    std::uint32_t value = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (ec != std::errc{} || end != digits.data() + digits.size()) return {};
    return value;
  };
  const auto slash = text.find('/');
  const auto value = number(text.substr(0, slash));
  const auto mask = slash == std::string_view::npos ? 0xffffffff : number(text.substr(slash + 1));
  if (!value || !mask) return {};
  return Mark{*value, *mask};
}

// What may follow an element: its mark, and extensions that do not change what it matches.
Result<Mark> parse_extensions(std::string_view name, std::string_view line, std::string_view rest) {
  Mark mark;
  constexpr std::array<std::string_view, 6> known{"timeout", "packets", "bytes", "skbmark", "skbprio", "skbqueue"};
  while (true) {
    const auto word = take_word(rest);
    if (word.empty()) return mark;
    if (word == "comment") {
      const auto open = rest.find('"');
      const auto close = open == std::string_view::npos ? open : rest.find('"', open + 1);
      if (close == std::string_view::npos) return malformed(name, line, "a comment without its quotes");
      rest.remove_prefix(close + 1);
      continue;
    }
    if (!contains(known, word)) return malformed(name, line, fmt::format("unknown option {}", word.substr(0, 32)));
    const auto value = take_word(rest);
    if (value.empty()) return malformed(name, line, fmt::format("option {} has no value", word));
    if (word != "skbmark") continue;
    const auto parsed = parse_mark(value);
    if (!parsed) return malformed(name, line, "skbmark is not VALUE/MASK");
    mark = *parsed;
  }
}

}  // namespace

std::string SetHeader::to_string() const {
  return fmt::format("{}{}{}{}{}{}{}", type, family.empty() ? "" : " family ", family, range.empty() ? "" : " range ",
                     range, skbinfo ? " skbinfo" : "", unwanted);
}

SetHeader expected_header(IpSet set, std::uint32_t maxelem) {
  SetHeader header;
  header.type = std::string(ipvsd::to_string(set.type()));
  if (set.type() == SetType::bitmap_port) {
    header.range = "0-65535";
  } else {
    header.family = set.family == Family::ipv4 ? "inet" : "inet6";
    header.maxelem = maxelem;
    header.skbinfo = set.carries_marks();
  }
  return header;
}

bool fits(IpSet set, const SetHeader& header) {
  SetHeader relevant = header;
  relevant.skbinfo = header.skbinfo && set.carries_marks();
  return relevant.to_string() == expected_header(set, 0).to_string();
}

Result<SetHeader> parse_header(std::string_view name, std::string_view text) { return take_header(name, text, false); }

Result<SetListing> parse_listing(IpSet set, std::string_view text) {
  SetListing listing;
  std::string_view rest = text;
  auto header = take_header(set.name(), rest, true);
  if (!header) return fail(std::move(header.error()));
  listing.header = std::move(*header);
  if (!fits(set, listing.header))
    return fail(Errc::malformed, fmt::format("ipset {}: expected {}, found {}", set.name(),
                                             expected_header(set, 0).to_string(), listing.header.to_string()));
  if (!text.empty() && text.back() != '\n') return malformed(set.name(), "", "the listing breaks off");
  while (!rest.empty()) {
    const auto line = take_line(rest);
    auto words = line;
    auto entry = parse_element(set, take_word(words));
    if (!entry) return malformed(set.name(), line, entry.error().context);
    const auto mark = parse_extensions(set.name(), line, words);
    if (!mark) return fail(mark.error());
    if (set.carries_marks()) entry->mark = *mark;
    listing.entries.push_back(*entry);
  }
  return listing;
}

}  // namespace ipvsd
