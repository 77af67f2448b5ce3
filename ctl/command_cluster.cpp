#include "ctl/command_cluster.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace ipvsd::ctl {

Result<Format> parse_answer_format(std::string_view text) {
  static constexpr std::array accepted{Format::table, Format::json, Format::yaml};
  return parse_format(text, accepted);
}

std::string structured(const nlohmann::ordered_json& value, Format format) {
  if (format == Format::yaml) return yaml_text(value);
  return value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void add_socket_option(CLI::App& command, std::string& socket) {
  command.add_option("--socket", socket, "the daemon's socket (ipvsd.ctlSocket of its configuration)")
      ->option_text("PATH")
      ->capture_default_str();
}

void add_cluster_options(CLI::App& command, ClusterWords& words) {
  command.add_option("--kubeconfig", words.kubeconfig, "ask this API server instead of the daemon")
      ->option_text("FILE");
  command.add_option("--manifests", words.manifests, "read this folder instead of asking the daemon")
      ->option_text("DIR");
  command.add_option("--config", words.config, "the KubeProxyConfiguration that goes with either")->option_text("FILE");
  command.add_option("--node", words.node, "the name of this node there, if not the host's")->option_text("NAME");
  add_socket_option(command, words.socket);
}

void warn_user(const std::string& text) { fmt::print(stderr, "kube-ipvsctl: {}\n", printable(text)); }

}  // namespace ipvsd::ctl
