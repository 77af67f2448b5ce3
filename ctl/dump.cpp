#include "ctl/dump.hpp"

#include <fmt/format.h>

#include "ctl/dump_ipvsadm.hpp"
#include "ctl/dump_json.hpp"
#include "ctl/dump_table.hpp"
#include "ctl/observe.hpp"

namespace ipvsd::ctl {
namespace {

// What a format writes before, for each virtual server, and after.
struct Rendering {
  std::string head;
  std::function<std::string(const ObservedServer&, bool first)> server;
  std::string tail;
};

Rendering rendering(const DumpOptions& options, const Observation& observation) {
  switch (options.format) {
    case DumpFormat::json:
      return {json_head(),
              [](const ObservedServer& server, bool first) { return (first ? "\n" : ",\n") + json_text(server); },
              json_tail(observation)};
    case DumpFormat::ipvsadm: return {"", [](const ObservedServer& server, bool) { return ipvsadm_text(server); }, ""};
    case DumpFormat::table:
    case DumpFormat::wide: break;
  }
  const TableStyle style{options.colour, options.format == DumpFormat::wide, !options.selection.everything(),
                         name_width_for(observation)};
  return {table_heading(observation, style),
          [style](const ObservedServer& server, bool) { return table_text(server, style); },
          table_rest(observation, style)};
}

SetDetail set_detail(const DumpOptions& options) {
  if (options.format == DumpFormat::ipvsadm) return SetDetail::none;
  return options.members || !options.selection.everything() ? SetDetail::members : SetDetail::counts;
}

}  // namespace

Result<DumpFormat> parse_dump_format(std::string_view text) {
  if (text == "table") return DumpFormat::table;
  if (text == "wide") return DumpFormat::wide;
  if (text == "json") return DumpFormat::json;
  if (text == "ipvsadm") return DumpFormat::ipvsadm;
  return fail(Errc::malformed,
              fmt::format("\"{}\" is no output format; accepted are table, wide, json and ipvsadm", text));
}

Result<void> dump(const DumpOptions& options, const Output& out) {
  auto observer = Observer::open();
  if (!observer) return fail(observer.error());
  const auto observation = observer->observe(options.selection, set_detail(options));
  if (!observation) return fail(observation.error());
  const auto render = rendering(options, *observation);
  if (const auto written = out(render.head); !written) return written;
  bool first = true;
  for (const auto& record : observation->servers) {
    const auto server = observer->destinations(record);
    if (!server) return fail(server.error());
    if (const auto written = out(render.server(*server, first)); !written) return written;
    first = false;
  }
  return out(render.tail);
}

}  // namespace ipvsd::ctl
