// The dump for a reader at a terminal: a row for each virtual server and destination, then the addresses, then the
// sets. Pure.
//
// Rows are rendered one virtual server at a time, so columns have widths that suit nearly everything; where a block has
// something longer, its own column widens, and nothing is cut or wrapped.
#pragma once

#include <string>

#include "ctl/observation.hpp"
#include "ctl/selector.hpp"

namespace ipvsd::ctl {

struct TableStyle {
  bool colour = false;
  bool wide = false;           // packets too, and every number in full
  std::size_t name_width = 0;  // of the first column; name_width_for() finds one
};

[[nodiscard]] std::size_t name_width_for(const Observation& observation);

// The rows of connections and rates are the kernel's own figures: since the virtual server was made, and per second
// over the last few seconds. Bytes and packets are seen from the client: "in" goes to the destination.
[[nodiscard]] std::string table_heading(const Observation& observation, const TableStyle& style);
[[nodiscard]] std::string table_text(const ObservedServer& server, const TableStyle& style);
// Addresses and sets.
[[nodiscard]] std::string table_rest(const Observation& observation, const TableStyle& style);

// 99999, "100k", "1.23M", "18.4E": at most five characters.
[[nodiscard]] std::string scaled(std::uint64_t value);

}  // namespace ipvsd::ctl
