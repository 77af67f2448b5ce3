// Explanations as text and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/explain.hpp"
#include "ctl/output.hpp"

namespace ipvsd::ctl {
namespace {

std::string endpoint_line(const ExplainedEndpoint& row) {
  auto line = fmt::format("    {:<24} {:<4} {}", row.key.to_string(), row.in ? "in" : "out", row.reason);
  if (!row.pod.empty()) line += ", pod " + row.pod;
  if (!row.node.empty()) line += ", on " + row.node;
  if (row.found)
    line += fmt::format("; weight {}, {} active and {} inactive", row.found->destination.weight,
                        counted(row.found->active_connections, "connection"), row.found->inactive_connections);
  if (row.probe) line += fmt::format("; {}", to_string(*row.probe));
  return line;
}

}  // namespace

std::string counted(std::uint64_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

std::string explanation_text(const Explanation& explanation) {
  std::string text;
  const auto line = [&](const std::string& words) { text += printable(words) + "\n"; };
  const auto& of = explanation.target;
  line(fmt::format("{}, from {}", of == VirtualServerKey{} ? explanation.service : of.to_string(), explanation.from));
  std::string_view before;
  for (const auto& step : explanation.steps) {
    line(fmt::format("  {:<11} {}", step.step == before ? "" : step.step, step.text));
    before = step.step;
  }
  if (!explanation.endpoints.empty()) line("  endpoints");
  for (const auto& row : explanation.endpoints) line(endpoint_line(row));
  for (const auto& note : explanation.notes) line("  note        " + note);
  if (explanation.faults.empty()) line("nothing wrong found");
  for (std::size_t i = 0; i < explanation.faults.size(); ++i) {
    const auto& fault = explanation.faults[i];
    line(fmt::format("{}: {}: {}", i == 0 ? "likely fault" : "also", fault.cause, fault.text));
    line("  " + fault.advice);
  }
  return text;
}

nlohmann::ordered_json explanation_json(const Explanation& explanation) {
  using Json = nlohmann::ordered_json;
  Json json{{"target", explanation.target.to_string()},
            {"from", explanation.from},
            {"service", explanation.service},
            {"likelyFault", nullptr},
            {"faults", Json::array()},
            {"steps", Json::array()},
            {"endpoints", Json::array()},
            {"notes", explanation.notes}};
  if (!explanation.faults.empty()) json["likelyFault"] = explanation.faults.front().cause;
  for (const auto& fault : explanation.faults)
    json["faults"].push_back({{"cause", fault.cause}, {"text", fault.text}, {"advice", fault.advice}});
  for (const auto& step : explanation.steps) json["steps"].push_back({{"step", step.step}, {"text", step.text}});
  for (const auto& row : explanation.endpoints) {
    Json one{{"endpoint", row.key.to_string()},
             {"in", row.in},
             {"reason", row.reason},
             {"pod", row.pod},
             {"node", row.node}};
    if (row.found) {
      one["weight"] = row.found->destination.weight;
      one["activeConnections"] = row.found->active_connections;
      one["inactiveConnections"] = row.found->inactive_connections;
    }
    if (row.probe) one["probe"] = to_string(*row.probe);
    json["endpoints"].push_back(std::move(one));
  }
  return json;
}

}  // namespace ipvsd::ctl
