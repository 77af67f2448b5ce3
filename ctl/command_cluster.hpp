// Words that the commands about the cluster share.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ctl/cluster.hpp"
#include "ctl/command.hpp"
#include "ctl/output.hpp"

namespace ipvsd::ctl {

// table, json or yaml. Error: malformed, saying so.
[[nodiscard]] Result<Format> parse_answer_format(std::string_view text);
// As JSON or YAML.
[[nodiscard]] std::string structured(const nlohmann::ordered_json& value, Format format);

void add_socket_option(CLI::App& command, std::string& socket);
// --kubeconfig, --manifests, --config, --node, --socket.
void add_cluster_options(CLI::App& command, ClusterWords& words);

// To standard error, as a warning.
void warn_user(const std::string& text);

}  // namespace ipvsd::ctl
