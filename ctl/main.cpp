// kube-ipvsctl: the command line. Each command is in a file of its own; this one knows words and exit statuses.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "ctl/dump.hpp"
#include "daemon/version.hpp"

using namespace ipvsd;

namespace {

constexpr int usage_status = 2;

Result<void> write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail_errno(errno, "standard output");
  return {};
}

// https://no-color.org: any value but an empty one.
bool colour_wanted() {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

int complain(const Error& error, int status) {
  std::fflush(stdout);
  // The reader of a pipe had enough: no news to the user.
  if (error.sys_errno == EPIPE) return status;
  // Where no system call failed, the words are our own and say it all.
  fmt::print(stderr, "kube-ipvsctl: {}\n", error.sys_errno == 0 ? error.context : error.message());
  return status;
}

int finish(Result<void> result) {
  if (result && std::fflush(stdout) != 0) result = fail_errno(errno, "standard output");
  return result ? 0 : complain(result.error(), 1);
}

struct DumpWords {
  ctl::DumpOptions options;
  std::string format = "table";
  std::vector<std::string> selectors;
};

int run_dump(DumpWords words) {
  const auto format = ctl::parse_dump_format(words.format);
  if (!format) return complain(format.error(), usage_status);
  auto selection = ctl::Selectors::parse(words.selectors);
  if (!selection) return complain(selection.error(), usage_status);
  words.options.format = *format;
  words.options.selection = std::move(*selection);
  words.options.colour = colour_wanted();
  return finish(ctl::dump(words.options, write_out));
}

CLI::App* declare_dump(CLI::App& app, DumpWords& words) {
  auto* command = app.add_subcommand("dump", "What this node's kernel has: virtual servers, addresses, sets");
  command->add_option("SELECTOR", words.selectors,
                      "An address, address:port, port, each with or without /protocol; a protocol; fwmark:N.\n"
                      "Several of one kind widen, different kinds narrow: \"10.96.0.10 udp\"");
  command->add_option("-o,--output", words.format, "table (default), wide, json, or ipvsadm as by ipvsadm -Sn")
      ->option_text("FORMAT");
  command->add_flag("--members", words.options.members, "the members of the sets as well; a selector implies it");
  command->footer(
      "Reads the kernel itself and changes nothing: works without a daemon and beside kube-proxy.\n"
      "Needs root or CAP_NET_ADMIN.\n"
      "Example: kube-ipvsctl dump 10.96.0.10:53/udp -o json");
  return command;
}

int run(int argc, char** argv) {
  CLI::App app("Shows what IPVS on this node does", "kube-ipvsctl");
  app.set_version_flag("--version", fmt::format("kube-ipvsctl {}", version_with_revision), "print the version and end");
  app.set_help_flag("-h,--help", "print this and end");
  app.require_subcommand(0, 1);
  DumpWords dump_words;
  auto* dump = declare_dump(app, dump_words);
  for (int i = 1; i < argc; ++i)  // CLI11 2.1 reads past the end of an empty value
    if (*argv[i] == '\0') return complain({Errc::malformed, 0, "an argument is empty"}, usage_status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int status = app.exit(error, out, err);
    std::fputs(out.str().c_str(), stdout);
    std::fputs(err.str().c_str(), stderr);
    return status == 0 ? finish({}) : usage_status;
  }
  if (dump->parsed()) return run_dump(std::move(dump_words));
  std::fputs(app.help().c_str(), stderr);
  return usage_status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "kube-ipvsctl: %s\n", error.what());
    return 1;
  }
}
