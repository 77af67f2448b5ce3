#include "daemon/source/yaml_scalar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ipvsd {
namespace {

template <std::size_t n>
bool one_of(std::string_view text, const std::array<std::string_view, n>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 5> null_words{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 11> true_words{"true", "True", "TRUE", "yes", "Yes", "YES",
                                                      "y",    "Y",    "on",   "On",  "ON"};
constexpr std::array<std::string_view, 11> false_words{"false", "False", "FALSE", "no",  "No", "NO",
                                                       "n",     "N",     "off",   "Off", "OFF"};
constexpr std::array<std::string_view, 12> no_numbers{".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf", "+.INF",
                                                      "-.inf", "-.Inf", "-.INF", ".nan",  ".NaN",  ".NAN"};

// Whether all of `digits`, and at least one, are digits of the base; then its value, if it fits.
bool parse_unsigned(std::string_view digits, int base, std::uint64_t& value) {
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return !digits.empty() && ec == std::errc{} && end == digits.data() + digits.size();
}

// Go's strconv.ParseInt with base 0, with underscores between the digits.
bool parse_integer(std::string_view text, bool& negative, std::uint64_t& value) {
  negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  std::string digits(text);
  std::erase(digits, '_');
  const std::string_view view = digits;
  const auto prefix = view.substr(0, 2);
  bool ok = false;
  if (prefix == "0x" || prefix == "0X")
    ok = parse_unsigned(view.substr(2), 16, value);
  else if (prefix == "0b" || prefix == "0B")
    ok = parse_unsigned(view.substr(2), 2, value);
  else if (prefix == "0o" || prefix == "0O")
    ok = parse_unsigned(view.substr(2), 8, value);
  else if (view.size() > 1 && view.front() == '0')
    ok = parse_unsigned(view.substr(1), 8, value);
  else
    ok = parse_unsigned(view, 10, value);
  constexpr std::uint64_t most_negative = std::uint64_t{1} << 63;
  return ok && (!negative || value <= most_negative);
}

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float(std::string_view text) {
  const auto sign = [&](std::size_t at) {
    return at < text.size() && (text[at] == '-' || text[at] == '+') ? at + 1 : at;
  };
  const std::size_t start = sign(0);
  std::size_t at = skip_digits(text, start);
  const bool whole = at > start;
  if (at < text.size() && text[at] == '.') {
    const auto end = skip_digits(text, at + 1);
    if (!whole && end == at + 1) return false;
    at = end;
  } else if (!whole) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    const auto digits = sign(at + 1);
    at = skip_digits(text, digits);
    if (at == digits) return false;
  }
  return at == text.size();
}

}  // namespace

Result<std::string> resolve_plain_scalar(std::string_view text) {
  if (one_of(text, null_words)) return "null";
  if (one_of(text, true_words)) return "true";
  if (one_of(text, false_words)) return "false";
  bool negative = false;
  std::uint64_t integer = 0;
  if (parse_integer(text, negative, integer)) return fmt::format("{}{}", negative && integer != 0 ? "-" : "", integer);
  if (one_of(text, no_numbers)) return fail(Errc::malformed, fmt::format("{} has no JSON form", text));
  if (!is_float(text)) return quote_json(text);
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  // What does not fit a double stays text, and the field that wanted a number says so.
  if (parsed.ec != std::errc{}) return quote_json(text);
  if (value == std::floor(value) && std::abs(value) < 9007199254740992.0)
    return fmt::format("{}", static_cast<std::int64_t>(value));
  return fmt::format("{}", value);
}

std::string quote_json(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted += '"';
}

}  // namespace ipvsd
