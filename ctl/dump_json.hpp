// The dump as JSON, by docs/schema/dump.schema.json, and as YAML of the same shape. Members may be added to the schema;
// none changes its meaning or goes without a new apiVersion. Pure.
#pragma once

#include <string>

#include "ctl/names.hpp"
#include "ctl/observation.hpp"

namespace ipvsd::ctl {

// The JSON text is json_head(), the virtual servers with commas between them, json_tail(), if they are asked for
// json_connections_head() and the connections with commas between them, and json_end(): a line for each, so that
// line-based tools work as well.
[[nodiscard]] std::string json_head();
[[nodiscard]] std::string json_text(const ObservedServer& server, const Names& names);
void append_json(std::string& out, const ObservedServer& server, const Names& names);  // the same
[[nodiscard]] std::string json_tail(const Observation& observation);
[[nodiscard]] std::string json_connections_head();
[[nodiscard]] std::string json_text(const Connection& connection, const Names& names);
[[nodiscard]] std::string json_end(bool with_connections);

// The same pieces in YAML; sequences, one item after the other.
[[nodiscard]] std::string yaml_head(const Observation& observation);
[[nodiscard]] std::string yaml_text(const ObservedServer& server, const Names& names);
[[nodiscard]] std::string yaml_tail(const Observation& observation);
[[nodiscard]] std::string yaml_text(const Connection& connection, const Names& names);

}  // namespace ipvsd::ctl
