#include <memory>

#include "ctl/command.hpp"
#include "ctl/dump.hpp"

namespace ipvsd::ctl {
namespace {

struct DumpWords {
  DumpOptions options;
  std::string format = "table";
  std::vector<std::string> selectors;
  bool all = false;
};

int run_dump(DumpWords& words) {
  auto& options = words.options;
  const auto format = parse_format(words.format, dump_formats);
  if (!format) return complain(format.error(), usage_status);
  const Names names;
  auto selection = Selectors::parse(words.selectors, names);
  if (!selection) return complain(selection.error(), usage_status);
  options.format = *format;
  options.selection = std::move(*selection);
  options.terminal = standard_terminal();
  if (words.all) options.members = options.rules = options.connections = true;
  return finish(dump(options, names, write_out));
}

}  // namespace

Command declare_dump(CLI::App& app) {
  // Shared: the parser writes to it, the command reads it, and a std::function is copied.
  const auto words = std::make_shared<DumpWords>();
  auto* command = app.add_subcommand("dump", "What this node's kernel has: virtual servers, addresses, sets, rules");
  command->add_option(
      "SELECTOR", words->selectors,
      "A Service (web, default/web, default/web:http) or namespace (default/), or the beginning of its\n"
      "name; an address, address:port, port, each with or without /protocol; a protocol; fwmark:N.\n"
      "Several of one kind widen, different kinds narrow: \"10.96.0.10 udp\"");
  command
      ->add_option("-o,--output", words->format,
                   "table (default), wide, json, yaml, ipvsadm as by ipvsadm -Sn, or dot for graphviz")
      ->option_text("FORMAT");
  command->add_flag("--members", words->options.members, "the members of the sets as well; a selector implies it");
  command->add_flag("--rules", words->options.rules, "each iptables rule, and not how many there are");
  command->add_flag("--connections", words->options.connections, "the kernel's connections; there may be very many");
  command->add_flag("--all", words->all, "--members, --rules and --connections");
  command->footer(
      "Reads the kernel itself and changes nothing: works without a daemon and beside kube-proxy.\n"
      "Needs root or CAP_NET_ADMIN.\n"
      "Example: kube-ipvsctl dump 10.96.0.10:53/udp -o json");
  return {command, [words] { return run_dump(*words); }};
}

}  // namespace ipvsd::ctl
