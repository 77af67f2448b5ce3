#include "daemon/check/finding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ipvsd::check {
namespace {

std::size_t count(const Findings& findings, Severity severity) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.severity == severity; }));
}

std::string counted(std::size_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::ok: return "ok";
    case Severity::note: return "note";
    case Severity::warning: return "warning";
    case Severity::problem: return "problem";
  }
  return "unknown";
}

Severity worst(const Findings& findings) {
  auto severity = Severity::ok;
  for (const auto& finding : findings) severity = std::max(severity, finding.severity);
  return severity;
}

std::string table(const Findings& findings) {
  std::size_t width = 0;
  for (const auto& finding : findings) width = std::max(width, finding.subject.size());
  std::string text;
  for (const auto& finding : findings) {
    const auto severity =
        finding.severity == Severity::problem ? std::string("PROBLEM") : std::string(to_string(finding.severity));
    text += fmt::format("{:<7}  {:<{}}  {}\n", severity, finding.subject, width, finding.text);
    if (!finding.remedy.empty()) text += fmt::format("{:<7}  {:<{}}  -> {}\n", "", "", width, finding.remedy);
  }
  return text + fmt::format("{}, {}\n", counted(count(findings, Severity::problem), "problem"),
                            counted(count(findings, Severity::warning), "warning"));
}

std::string json(const Findings& findings, std::string_view version) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const auto& [severity, subject, text, remedy] : findings)
    list.push_back({{"severity", to_string(severity)}, {"subject", subject}, {"text", text}, {"remedy", remedy}});
  const Json document{{"version", version},
                      {"result", to_string(worst(findings))},
                      {"problems", count(findings, Severity::problem)},
                      {"warnings", count(findings, Severity::warning)},
                      {"findings", list}};
  // Bytes from outside (names, messages of the API server) need not be UTF-8.
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ipvsd::check
