// kube-ipvsctl dump: what the kernel of this node has, without a daemon.
#pragma once

#include <array>
#include <string>

#include "ctl/names.hpp"
#include "ctl/observe.hpp"
#include "ctl/output.hpp"
#include "ctl/selector.hpp"

namespace ipvsd::ctl {

inline constexpr std::array dump_formats{Format::table, Format::wide,    Format::json,
                                         Format::yaml,  Format::ipvsadm, Format::dot};

struct DumpOptions {
  Format format = Format::table;
  Selectors selection;
  bool members = false;      // of the sets; a selection shows those that it matches in any case
  bool rules = false;        // each rule in the table as well, and with a selection
  bool connections = false;  // those that the selection matches
  Terminal terminal{};
};

// Writes to `out` in pieces, the first only when the kernel could be read. Errors: those of Observer, of
// read_connections, and what `out` returns.
[[nodiscard]] Result<void> dump(Observer& observer, const DumpOptions& options, const Names& names, const Output& out);

}  // namespace ipvsd::ctl
