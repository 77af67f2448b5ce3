// The dump for a reader at a terminal: a row for each virtual server and destination, then the addresses, the sets, and
// the rest. Pure.
//
// Rows are rendered one virtual server at a time, so columns have widths that suit nearly everything; a block with
// something longer widens its column from there on. Addresses and names are never cut: a terminal that is too narrow
// loses columns, and the end of the notes.
#pragma once

#include <string>

#include "ctl/names.hpp"
#include "ctl/observation.hpp"
#include "ctl/output.hpp"

namespace ipvsd::ctl {

struct TableStyle {
  Terminal terminal{};
  bool wide = false;            // packets too, and every number in full
  bool narrowed = false;        // by selectors
  bool rules = false;           // each of them, rather than how many
  std::size_t name_width = 0;   // of the first column; name_width_for() finds one
  std::size_t label_width = 0;  // of the column of names, 0: there is none; label_width_for() finds one
};

[[nodiscard]] std::size_t name_width_for(const Observation& observation);
[[nodiscard]] std::size_t label_width_for(const Observation& observation, const Names& names);

// The columns of connections and rates are the kernel's own figures: since the virtual server was made, and per second
// over the last few seconds. Bytes and packets are seen from the client: "in" goes to the destination.
class ServerTable {
 public:
  // `names` outlives this.
  ServerTable(const TableStyle& style, const Names& names);
  [[nodiscard]] std::string heading(const Observation& observation) const;
  [[nodiscard]] std::string text(const ObservedServer& server);
  void append(std::string& out, const ObservedServer& server);  // the same

 private:
  struct Figures;
  void append_row(std::string& out, const ObservedServer& server) const;
  void append_row(std::string& out, const nl::DestinationRecord& record, std::string_view ns) const;
  [[nodiscard]] std::string pod_label(const IpAddress& address, std::string_view ns) const;
  void append_line(std::string& out, const Figures& figures, const nl::Statistics& statistics, const std::string& notes,
                   Tone tone) const;

  TableStyle style_;
  const Names& names_;
  Table table_;
};

// Addresses, sets, rules, settings.
[[nodiscard]] std::string table_rest(const Observation& observation, const TableStyle& style);

[[nodiscard]] std::string connections_heading(const TableStyle& style);
[[nodiscard]] std::string table_text(const Connection& connection, const Names& names, const TableStyle& style);

}  // namespace ipvsd::ctl
