#include "ctl/output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace ipvsd::ctl {
namespace {

constexpr std::array format_names{std::pair{Format::table, "table"},     std::pair{Format::wide, "wide"},
                                  std::pair{Format::json, "json"},       std::pair{Format::yaml, "yaml"},
                                  std::pair{Format::ipvsadm, "ipvsadm"}, std::pair{Format::dot, "dot"}};
constexpr std::size_t gap = 2;
constexpr std::uint64_t scaled_from = 100'000;
// Notes of which less would be left are left out.
constexpr std::size_t notes_minimum = 8;

bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

std::size_t window_width() {
  if (::isatty(STDOUT_FILENO) == 0) return 0;
  if (const char* columns = std::getenv("COLUMNS"); columns != nullptr) {
    const std::string_view text(columns);
    std::uint16_t width = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), width).ec == std::errc{} && width != 0) return width;
  }
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string_view code_of(Tone tone) {
  switch (tone) {
    case Tone::plain: break;
    case Tone::strong: return "1";
    case Tone::faint: return "2";
    case Tone::good: return "32";
    case Tone::warning: return "33";
    case Tone::bad: return "31";
  }
  return "0";
}

}  // namespace

std::string_view to_string(Format format) {
  for (const auto& [known, name] : format_names)
    if (known == format) return name;
  return "";
}

Result<Format> parse_format(std::string_view text, std::span<const Format> accepted) {
  std::string names;
  for (const auto format : accepted) {
    if (to_string(format) == text) return format;
    names += fmt::format("{}{}", names.empty() ? "" : format == accepted.back() ? " and " : ", ", to_string(format));
  }
  return fail(Errc::malformed,
              fmt::format("\"{}\" is no output format here; accepted are {}", printable(text.substr(0, 64)), names));
}

Terminal standard_terminal() { return {wants_colour(), window_width()}; }

std::string toned(std::string text, Tone tone, bool colour) {
  if (!colour || tone == Tone::plain) return text;
  return fmt::format("\033[{}m{}\033[0m", code_of(tone), text);
}

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return result;
}

std::string cut(std::string text, const Terminal& terminal) {
  if (terminal.width == 0 || text.size() <= terminal.width) return text;
  return text.substr(0, terminal.width - 1) + "…";
}

std::string scaled(std::uint64_t value) {
  if (value < scaled_from) return fmt::format("{}", value);
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

Table::Table(std::vector<Column> columns, Terminal terminal)
    : columns_(std::move(columns)), shown_(columns_.size(), true), terminal_(terminal) {
  std::size_t total = 0;
  for (auto& column : columns_) {
    column.width = std::max(column.width, column.heading.size());
    total += column.width + gap;
  }
  while (terminal_.width != 0 && total > terminal_.width + gap) {
    std::size_t least = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i)
      if (shown_[i] && columns_[i].dispensable != 0 &&
          (least == columns_.size() || columns_[i].dispensable > columns_[least].dispensable))
        least = i;
    if (least == columns_.size()) break;
    shown_[least] = false;
    total -= columns_[least].width + gap;
  }
}

Table::Line::Line(const Table& table, std::string& out, Tone tone) : table_(table), out_(out), tone_(tone) {
  if (table_.terminal_.colour && tone != Tone::plain) ((out_ += "\033[") += code_of(tone)) += 'm';
  start_ = out_.size();
}

Table::Line& Table::Line::cell(std::string_view text) {
  const std::size_t index = column_++;
  if (!table_.shown_[index]) return *this;
  const auto& column = table_.columns_[index];
  const std::size_t padding = column.width - std::min(column.width, text.size());
  if (out_.size() != start_) out_.append(gap, ' ');
  if (column.right) out_.append(padding, ' ');
  out_ += text;
  if (!column.right) out_.append(padding, ' ');
  return *this;
}

Table::Line& Table::Line::cell(std::uint64_t number, bool scale) {
  if (scale && number >= scaled_from) return cell(scaled(number));
  const fmt::format_int digits(number);
  return cell(std::string_view(digits.data(), digits.size()));
}

void Table::Line::end(std::string_view notes) {
  const std::size_t used = out_.size() - start_ + gap;
  const std::size_t width = table_.terminal_.width;
  if (width == 0 || used + notes.size() <= width) {
    if (!notes.empty()) out_.append(gap, ' ').append(notes);
  } else if (used + notes_minimum <= width) {
    out_.append(gap, ' ').append(notes.substr(0, width - used - 1)).append("…");
  }
  out_.erase(std::max(out_.find_last_not_of(' ') + 1, start_));
  if (table_.terminal_.colour && tone_ != Tone::plain) out_ += "\033[0m";
  out_ += '\n';
}

std::string Table::line(const Row& row) const {
  std::string text;
  auto line = begin(text, row.tone);
  for (const auto& cell : row.cells) line.cell(cell);
  line.end(row.notes);
  return text;
}

std::string Table::heading() const {
  Row row;
  row.tone = Tone::faint;
  for (const auto& column : columns_) row.cells.push_back(column.heading);
  return line(row);
}

void Table::widen(std::size_t column, std::size_t width) {
  columns_[column].width = std::max(columns_[column].width, width);
}

void Table::widen(std::span<const Row> rows) {
  for (const auto& row : rows)
    for (std::size_t i = 0; i < columns_.size(); ++i) widen(i, row.cells[i].size());
}

}  // namespace ipvsd::ctl
