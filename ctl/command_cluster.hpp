// Words that the commands about the cluster share.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ctl/cluster.hpp"
#include "ctl/command.hpp"

namespace ipvsd::ctl {

enum class AnswerFormat : std::uint8_t { table, json, yaml };
// Error: malformed, saying what is accepted.
[[nodiscard]] Result<AnswerFormat> parse_answer_format(std::string_view text);
// As JSON or YAML.
[[nodiscard]] std::string structured(const nlohmann::ordered_json& value, AnswerFormat format);

void add_socket_option(CLI::App& command, std::string& socket);
// --kubeconfig, --manifests, --config, --node, --socket.
void add_cluster_options(CLI::App& command, ClusterWords& words);

// To standard error, as a warning.
void warn_user(const std::string& text);

}  // namespace ipvsd::ctl
