// kube-ipvsctl: the table of commands. Each command is in a file of its own (command.hpp).
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <sstream>
#include <vector>

#include "ctl/command.hpp"
#include "daemon/version.hpp"

using namespace ipvsd;

namespace {

// In the order of --help.
std::vector<ctl::Command> declare_commands(CLI::App& app) {
  return {
      ctl::declare_dump(app), ctl::declare_diff(app),  ctl::declare_explain(app), ctl::declare_status(app),
      ctl::declare_top(app),  ctl::declare_watch(app), ctl::declare_ui(app),      ctl::declare_completion(app),
  };
}

int end_of_parsing(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream err;
  const int status = app.exit(error, out, err);
  std::fputs(out.str().c_str(), stdout);
  std::fputs(err.str().c_str(), stderr);
  return status == 0 ? ctl::finish({}) : ctl::usage_status;
}

int run(int argc, char** argv) {
  CLI::App app("Shows what IPVS on this node does", "kube-ipvsctl");
  app.set_version_flag("--version", fmt::format("kube-ipvsctl {}", version_with_revision), "print the version and end");
  app.set_help_flag("-h,--help", "print this and end");
  app.require_subcommand(0, 1);
  const auto commands = declare_commands(app);
  for (int i = 1; i < argc; ++i)  // CLI11 2.1 reads past the end of an empty value
    if (*argv[i] == '\0') return ctl::complain({Errc::malformed, 0, "an argument is empty"}, ctl::usage_status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return end_of_parsing(app, error);
  }
  for (const auto& command : commands)
    if (command.words->parsed()) return command.run();
  std::fputs(app.help().c_str(), stderr);
  return ctl::usage_status;
}

}  // namespace

int main(int argc, char** argv) {
  // The end of a watch over TLS writes to a connection that may be closed already; and who reads a pipe of ours may
  // have had enough, which is an error of the write (complain()).
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "kube-ipvsctl: %s\n", error.what());
    return 1;
  }
}
