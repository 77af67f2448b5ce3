#include "ctl/dump.hpp"

#include <memory>

#include "ctl/connections.hpp"
#include "ctl/dump_dot.hpp"
#include "ctl/dump_ipvsadm.hpp"
#include "ctl/dump_json.hpp"
#include "ctl/dump_table.hpp"

namespace ipvsd::ctl {
namespace {

// What a format writes: head, the virtual servers, tail, and, if they are asked for, connections.
struct Rendering {
  std::string head;
  std::function<void(std::string& out, const ObservedServer&, bool first)> server;
  std::string tail;
  std::string connections_head;
  std::function<std::string(const Connection&, bool first)> connection;
  std::string no_connections;
  std::string end;
};

Rendering json_rendering(const DumpOptions& options, const Names& names, const Observation& observation) {
  const auto separated = [](std::string text, bool first) { return (first ? "\n" : ",\n") + std::move(text); };
  return {json_head(),
          [&](std::string& out, const auto& server, bool first) {
            out += first ? "\n" : ",\n";
            append_json(out, server, names);
          },
          json_tail(observation),
          json_connections_head(),
          [&, separated](const auto& connection, bool first) { return separated(json_text(connection, names), first); },
          "",
          json_end(options.connections)};
}

Rendering yaml_rendering(const Names& names, const Observation& observation) {
  return {yaml_head(observation),
          [&](std::string& out, const auto& server, bool) { out += yaml_text(server, names); },
          yaml_tail(observation),
          "connections:\n",
          [&](const auto& connection, bool) { return yaml_text(connection, names); },
          "  []\n",
          ""};
}

Rendering table_rendering(const DumpOptions& options, const Names& names, const Observation& observation) {
  const TableStyle style{.terminal = options.terminal,
                         .wide = options.format == Format::wide,
                         .narrowed = !options.selection.everything(),
                         .rules = options.rules,
                         .name_width = name_width_for(observation),
                         .label_width = label_width_for(observation, names)};
  const auto table = std::make_shared<ServerTable>(style, names);  // shared: std::function wants a copy
  return {table->heading(observation),
          [table](std::string& out, const auto& server, bool) { table->append(out, server); },
          table_rest(observation, style),
          connections_heading(style),
          [&names, style](const auto& connection, bool) { return table_text(connection, names, style); },
          "",
          ""};
}

Rendering rendering(const DumpOptions& options, const Names& names, const Observation& observation) {
  const auto no_connection = [](const Connection&, bool) { return std::string(); };
  switch (options.format) {
    case Format::json: return json_rendering(options, names, observation);
    case Format::yaml: return yaml_rendering(names, observation);
    case Format::ipvsadm:
      return {"",
              [](std::string& out, const auto& server, bool) { out += ipvsadm_text(server); },
              "",
              "",
              no_connection,
              "",
              ""};
    case Format::dot:
      return {dot_head(),
              [&](std::string& out, const auto& server, bool) { out += dot_text(server, names); },
              dot_tail(),
              "",
              no_connection,
              "",
              ""};
    case Format::table:
    case Format::wide: break;
  }
  return table_rendering(options, names, observation);
}

ObserveOptions what_to_observe(const DumpOptions& options) {
  if (options.format == Format::ipvsadm || options.format == Format::dot) return {};
  const bool everything = options.selection.everything();
  return {.sets = options.members || !everything ? SetDetail::members : SetDetail::counts,
          .addresses = true,
          .rules = options.rules || everything,
          .settings = everything};
}

Result<void> write_connections(const DumpOptions& options, const Rendering& render, const Output& out) {
  if (const auto written = out(render.connections_head); !written) return written;
  bool first = true;
  const auto read = read_connections([&](const Connection& connection) -> Result<void> {
    if (!options.selection.matches({connection.address, connection.protocol, connection.port, 0})) return {};
    return out(render.connection(connection, std::exchange(first, false)));
  });
  return read && first ? out(render.no_connections) : read;
}

}  // namespace

Result<void> dump(Observer& observer, const DumpOptions& options, const Names& names, const Output& out) {
  const auto observation = observer.observe(options.selection, what_to_observe(options));
  if (!observation) return fail(observation.error());
  const auto render = rendering(options, names, *observation);
  if (const auto written = out(render.head); !written) return written;
  bool first = true;
  ObservedServer server;  // this and the text are used again and again: memory that is touched already costs nothing
  std::string text;
  for (const auto& record : observation->servers) {
    if (const auto read = observer.read_destinations(record, server); !read) return read;
    text.clear();
    render.server(text, server, std::exchange(first, false));
    if (const auto written = out(text); !written) return written;
  }
  if (const auto written = out(render.tail); !written) return written;
  if (options.connections && !render.connections_head.empty())
    if (const auto written = write_connections(options, render, out); !written) return written;
  return out(render.end);
}

}  // namespace ipvsd::ctl
