#include "daemon/config/duration.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>

namespace ipvsd {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
// Longer names before those they begin with.
constexpr std::array units{
    Unit{"ns", 1},         Unit{"us", 1'000},        Unit{"\u00b5s", 1'000},    Unit{"\u03bcs", 1'000},
    Unit{"ms", 1'000'000}, Unit{"s", 1'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"h", 3'600'000'000'000}};

std::size_t count_digits(std::string_view text) {
  const auto end = text.find_first_not_of("0123456789");
  return end == std::string_view::npos ? text.size() : end;
}

// Takes "12.5m" off the front of `text` and adds it to `total`; false if it does not parse or does not fit.
bool take_term(std::string_view& text, std::int64_t& total) {
  const auto whole_digits = count_digits(text);
  std::int64_t whole = 0;
  if (whole_digits > 0 && std::from_chars(text.data(), text.data() + whole_digits, whole).ec != std::errc{})
    return false;
  text.remove_prefix(whole_digits);

  double fraction = 0;
  std::size_t fraction_digits = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction_digits = count_digits(text);
    double scale = 1;
    // Digits beyond the 18th change nothing.
    for (std::size_t i = 0; i < std::min<std::size_t>(fraction_digits, 18); ++i)
      fraction += (text[i] - '0') / (scale *= 10);
    text.remove_prefix(fraction_digits);
  }
  if (whole_digits + fraction_digits == 0) return false;

  for (const auto& unit : units) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    std::int64_t term = 0;
    const auto part = static_cast<std::int64_t>(fraction * static_cast<double>(unit.nanoseconds) + 0.5);
    return !__builtin_mul_overflow(whole, unit.nanoseconds, &term) && !__builtin_add_overflow(term, part, &term) &&
           !__builtin_add_overflow(total, term, &total);
  }
  return false;
}

}  // namespace

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return std::chrono::nanoseconds(0);
  if (text.empty()) return {};
  std::int64_t total = 0;
  while (!text.empty())
    if (!take_term(text, total)) return {};
  return std::chrono::nanoseconds(negative ? -total : total);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  // INT64_MIN has no positive counterpart; parse_duration never gives it.
  std::string text;
  if (left < 0) {
    text = "-";
    left = left == INT64_MIN ? INT64_MAX : -left;
  }
  for (const auto& [name, size] : {Unit{"h", 3'600'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"s", 1'000'000'000},
                                   Unit{"ms", 1'000'000}, Unit{"us", 1'000}, Unit{"ns", 1}}) {
    if (left / size > 0) text += fmt::format("{}{}", left / size, name);
    left %= size;
  }
  return text;
}

}  // namespace ipvsd
