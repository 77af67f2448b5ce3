// The forms in which the commands answer: formats by name, colour and width of a terminal, tables that fit it, YAML.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace ipvsd::ctl {

enum class Format : std::uint8_t { table, wide, json, yaml, ipvsadm, dot };
[[nodiscard]] std::string_view to_string(Format format);

// Error: malformed, naming what is accepted.
[[nodiscard]] Result<Format> parse_format(std::string_view text, std::span<const Format> accepted);

// Where a command writes, in pieces. Its error ends the command.
using Output = std::function<Result<void>(std::string_view)>;

struct Terminal {
  bool colour = false;
  std::size_t width = 0;  // columns; 0: a line may be of any length
};
// Of standard output. Colour: NO_COLOR (https://no-color.org) is not set and TERM can show it. Width: COLUMNS, else the
// window's; 0 if it is no terminal.
[[nodiscard]] Terminal standard_terminal();

enum class Tone : std::uint8_t { plain, strong, faint, good, warning, bad };
// The text itself, unless `colour`.
[[nodiscard]] std::string toned(std::string text, Tone tone, bool colour);

// Bytes that would steer a terminal as '?': for names that come from outside.
[[nodiscard]] std::string printable(std::string_view text);

// Cut to the terminal's width.
[[nodiscard]] std::string cut(std::string text, const Terminal& terminal);

// "99999", "100k", "1.23M", "18.4E": at most five characters.
[[nodiscard]] std::string scaled(std::uint64_t value);

struct Column {
  std::string heading;
  std::size_t width = 0;  // at least the heading's
  bool right = false;
  // Where the terminal is too narrow, the column with the largest number goes first; 0 never goes.
  int dispensable = 0;
};

// A table whose rows are rendered as they come, so that it may be of any length. A cell that is wider than its column
// moves the rest of its line, and is not cut; widen() makes room from there on. What follows the last column of a row
// (its notes) is cut to the terminal.
class Table {
 public:
  Table(std::vector<Column> columns, Terminal terminal);

  // One line, appended to a text cell by cell, from left to right.
  class Line {
   public:
    Line& cell(std::string_view text);
    // In full, or at most five characters.
    Line& cell(std::uint64_t number, bool scale);
    // What follows the cells; ends the line.
    void end(std::string_view notes = {});

   private:
    friend class Table;
    Line(const Table& table, std::string& out, Tone tone);
    const Table& table_;
    std::string& out_;
    Tone tone_;
    std::size_t start_;  // of the text in out_
    std::size_t column_ = 0;
  };
  [[nodiscard]] Line begin(std::string& out, Tone tone = Tone::plain) const { return {*this, out, tone}; }

  struct Row {
    std::vector<std::string> cells;  // as many as columns
    std::string notes;
    Tone tone = Tone::plain;
  };
  [[nodiscard]] std::string line(const Row& row) const;
  [[nodiscard]] std::string heading() const;
  void widen(std::size_t column, std::size_t width);
  // So that every row has room.
  void widen(std::span<const Row> rows);

 private:
  std::vector<Column> columns_;
  std::vector<bool> shown_;
  Terminal terminal_;
};

// YAML 1.2 for a value, each line indented so far; what could be read as anything but a string is quoted.
[[nodiscard]] std::string yaml_text(const nlohmann::ordered_json& value, std::size_t indent = 0);
// The same as an element of a sequence: the first line starts with "- ".
[[nodiscard]] std::string yaml_item(const nlohmann::ordered_json& value, std::size_t indent = 0);

}  // namespace ipvsd::ctl
