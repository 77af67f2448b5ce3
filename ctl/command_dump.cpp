#include <cerrno>
#include <cstdio>
#include <memory>

#include "ctl/cluster_names.hpp"
#include "ctl/command_cluster.hpp"
#include "ctl/dump.hpp"
#include "ctl/raw_dump.hpp"

namespace ipvsd::ctl {
namespace {

struct DumpWords {
  DumpOptions options;
  ClusterWords cluster;
  std::string format = "table";
  std::vector<std::string> selectors;
  bool all = false;
  bool raw = false;
  std::string read;
  std::string write;
};

int run_raw(const DumpWords& words, const Selectors& selection) {
  if (!words.read.empty()) return finish(decode_capture(words.read, write_out));
  if (words.write.empty()) return finish(dump_raw(selection, false, write_out));
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(words.write.c_str(), "wex"), std::fclose);
  if (!file) return complain({errc_of(errno), errno, "write " + words.write}, 1);
  const auto put = [&](std::string_view text) -> Result<void> {
    if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size())
      return fail_errno(errno, "write " + words.write);
    return {};
  };
  auto written = dump_raw(selection, true, put);
  if (written && std::fflush(file.get()) != 0) written = fail_errno(errno, "write " + words.write);
  return finish(written);
}

int run_dump(DumpWords& words) {
  auto& options = words.options;
  const auto format = parse_format(words.format, dump_formats);
  if (!format) return complain(format.error(), usage_status);
  // In ipvsadm's language there are no names, and a capture has its own.
  const bool named = (options.format != Format::ipvsadm && !words.raw) || !words.selectors.empty();
  auto names = named ? read_names(words.cluster, warn_user) : Names{};
  if (!names) return complain(names.error(), 1);
  std::optional<Observer> observer;
  if (!words.raw) {
    auto opened = Observer::open();
    if (!opened) return complain(opened.error(), 1);
    observer = std::move(*opened);
    observer->name_marks(*names);
  }
  auto selection = Selectors::parse(words.selectors, *names);
  if (!selection) return complain(selection.error(), usage_status);
  if (words.raw) return run_raw(words, *selection);
  options.format = *format;
  options.selection = std::move(*selection);
  options.terminal = standard_terminal();
  if (words.all) options.members = options.rules = options.connections = true;
  return finish(dump(*observer, options, *names, write_out));
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
  auto* raw = command->add_flag("--raw", words->raw,
                                "the netlink messages themselves: every field and attribute with its bytes");
  command->add_option("--read", words->read, "with --raw: those of a capture, pcap from an nlmon link or nlmsghdrs")
      ->option_text("FILE")
      ->needs(raw);
  command->add_option("--write", words->write, "with --raw: as a capture (pcap), to a new file")
      ->option_text("FILE")
      ->needs(raw);
  add_cluster_options(*command, words->cluster);
  command->footer(
      "Reads the kernel itself and changes nothing: works without a daemon and beside kube-proxy.\n"
      "Names of Services and pods come from the daemon, or where --manifests or --kubeconfig say.\n"
      "Needs root or CAP_NET_ADMIN.\n"
      "Examples: kube-ipvsctl dump default/web; kube-ipvsctl dump 10.96.0.10:53/udp -o json");
  return {command, [words] { return run_dump(*words); }};
}

}  // namespace ipvsd::ctl
