// kube-ipvsctl dump: what the kernel of this node has, without a daemon.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ctl/selector.hpp"

namespace ipvsd::ctl {

enum class DumpFormat : std::uint8_t { table, wide, json, ipvsadm };

// Error: malformed, saying what is accepted.
[[nodiscard]] Result<DumpFormat> parse_dump_format(std::string_view text);

struct DumpOptions {
  DumpFormat format = DumpFormat::table;
  Selectors selection;
  bool members = false;  // of the sets; a selection shows those that it matches in any case
  bool colour = false;
};

// Writes to `out` in pieces, the first only when the kernel could be read. Errors: those of Observer, and what `out`
// returns.
using Output = std::function<Result<void>(std::string_view)>;
[[nodiscard]] Result<void> dump(const DumpOptions& options, const Output& out);

}  // namespace ipvsd::ctl
