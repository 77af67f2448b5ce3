#include "daemon/source/rfc3339.hpp"

#include <algorithm>
#include <charconv>

namespace ipvsd {
namespace {

// Takes fixed-width fields off the front; any mismatch empties the answer for good.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  int digits(std::size_t width, int min, int max) {
    int value = 0;
    const auto field = rest_.substr(0, width);
    const bool all_digits = std::all_of(field.begin(), field.end(), [](char c) { return c >= '0' && c <= '9'; });
    ok_ = ok_ && field.size() == width && all_digits;
    if (ok_) std::from_chars(field.data(), field.data() + field.size(), value);
    ok_ = ok_ && value >= min && value <= max;
    rest_.remove_prefix(field.size());
    return value;
  }
  void letter(std::string_view choices) {
    ok_ = ok_ && !rest_.empty() && choices.find(rest_.front()) != std::string_view::npos;
    if (!rest_.empty()) rest_.remove_prefix(1);
  }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  // The digits after a decimal point; what is finer than a nanosecond is cut.
  std::chrono::nanoseconds fraction() {
    std::chrono::nanoseconds value{0};
    std::int64_t unit = 100'000'000;
    for (; peek() >= '0' && peek() <= '9'; rest_.remove_prefix(1), unit /= 10)
      value += std::chrono::nanoseconds(unit * (peek() - '0'));
    return value;
  }
  bool at_end() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Time {
  std::chrono::sys_seconds second;
  std::chrono::nanoseconds fraction;
};

std::optional<Time> parse(std::string_view text) {
  using namespace std::chrono;
  Cursor cursor(text);
  const int y = cursor.digits(4, 0, 9999);
  cursor.letter("-");
  const int m = cursor.digits(2, 1, 12);
  cursor.letter("-");
  const int d = cursor.digits(2, 1, 31);
  cursor.letter("Tt");
  const int hour = cursor.digits(2, 0, 23);
  cursor.letter(":");
  const int minute = cursor.digits(2, 0, 59);
  cursor.letter(":");
  const int second = cursor.digits(2, 0, 60);  // 60: a leap second
  nanoseconds fraction{0};
  if (cursor.peek() == '.') {
    cursor.letter(".");
    fraction = cursor.fraction();
  }
  minutes offset{0};
  const char zone = cursor.peek();
  cursor.letter("Zz+-");
  if (zone == '+' || zone == '-') {
    const int offset_hours = cursor.digits(2, 0, 23);
    cursor.letter(":");
    offset = hours(offset_hours) + minutes(cursor.digits(2, 0, 59));
    if (zone == '-') offset = -offset;
  }
  const year_month_day date{year(y), month(static_cast<unsigned>(m)), day(static_cast<unsigned>(d))};
  if (!cursor.at_end() || !date.ok()) return {};
  return Time{sys_days(date) + hours(hour) + minutes(minute) + seconds(second) - offset, fraction};
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_rfc3339(std::string_view text) {
  const auto time = parse(text);
  return time ? std::optional(time->second) : std::nullopt;
}

std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> parse_rfc3339_nanos(std::string_view text) {
  using namespace std::chrono;
  const auto time = parse(text);
  if (!time || time->second < sys_seconds{} || time->second >= sys_days(year(2262) / 1 / 1)) return {};
  return sys_time<nanoseconds>(time->second) + time->fraction;
}

}  // namespace ipvsd
