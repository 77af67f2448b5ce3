// What the commands of the command line have in common. Each command is in a file of its own, command_NAME.cpp, that
// knows its words; the work is done by files without words, which tests link.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd::ctl {

struct Command {
  CLI::App* words;           // the subcommand, as declared on the application
  std::function<int()> run;  // once its words have been parsed; returns the exit status
};

// The table of commands is in main.cpp.
[[nodiscard]] Command declare_dump(CLI::App& app);
[[nodiscard]] Command declare_diff(CLI::App& app);
[[nodiscard]] Command declare_explain(CLI::App& app);
[[nodiscard]] Command declare_status(CLI::App& app);
[[nodiscard]] Command declare_top(CLI::App& app);
[[nodiscard]] Command declare_watch(CLI::App& app);
[[nodiscard]] Command declare_ui(CLI::App& app);
[[nodiscard]] Command declare_completion(CLI::App& app);

// A wrong command line.
inline constexpr int usage_status = 2;

// To standard output.
[[nodiscard]] Result<void> write_out(std::string_view text);

// Tells the error and returns the status.
int complain(const Error& error, int status);

// The status of a command that ended so: 0, or 1 with the error told.
[[nodiscard]] int finish(Result<void> result);

}  // namespace ipvsd::ctl
