#include <memory>

#include "ctl/command.hpp"
#include "ctl/dump.hpp"

namespace ipvsd::ctl {
namespace {

struct DumpWords {
  DumpOptions options;
  std::string format = "table";
  std::vector<std::string> selectors;
};

int run_dump(DumpWords& words) {
  const auto format = parse_dump_format(words.format);
  if (!format) return complain(format.error(), usage_status);
  auto selection = Selectors::parse(words.selectors);
  if (!selection) return complain(selection.error(), usage_status);
  words.options.format = *format;
  words.options.selection = std::move(*selection);
  words.options.colour = colour_wanted();
  return finish(dump(words.options, write_out));
}

}  // namespace

Command declare_dump(CLI::App& app) {
  // Shared: the parser writes to it, the command reads it, and a std::function is copied.
  const auto words = std::make_shared<DumpWords>();
  auto* command = app.add_subcommand("dump", "What this node's kernel has: virtual servers, addresses, sets");
  command->add_option("SELECTOR", words->selectors,
                      "An address, address:port, port, each with or without /protocol; a protocol; fwmark:N.\n"
                      "Several of one kind widen, different kinds narrow: \"10.96.0.10 udp\"");
  command->add_option("-o,--output", words->format, "table (default), wide, json, or ipvsadm as by ipvsadm -Sn")
      ->option_text("FORMAT");
  command->add_flag("--members", words->options.members, "the members of the sets as well; a selector implies it");
  command->footer(
      "Reads the kernel itself and changes nothing: works without a daemon and beside kube-proxy.\n"
      "Needs root or CAP_NET_ADMIN.\n"
      "Example: kube-ipvsctl dump 10.96.0.10:53/udp -o json");
  return {command, [words] { return run_dump(*words); }};
}

}  // namespace ipvsd::ctl
