// Runs another program. For the few things that have no other interface (iptables-restore, modprobe); never on the
// path of a change, and never on the loop's thread once it runs.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "model/result.hpp"

namespace ipvsd {

struct ProcessResult {
  int exit_status = 0;  // 128 + n if signal n ended it
  std::string out;
  std::string err;
};

// Looks `argv[0]` up in PATH, feeds `input` to its standard input and collects both outputs (each cut at 64 MiB).
// At the deadline the program is killed, with what it started and holds its outputs open or not, and the error is
// timed_out; it has a process group of its own, so that signals of a terminal do not reach it. Error not_found: no such
// program. A non-zero exit status is not an error here. SIGPIPE is to be ignored where there is input. Thread-safe.
[[nodiscard]] Result<ProcessResult> run_process(const std::vector<std::string>& argv, const std::string& input,
                                                std::chrono::milliseconds deadline);

}  // namespace ipvsd
