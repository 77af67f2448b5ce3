// What --check says: one line per question that was asked, good answers included.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ipvsd::check {

// note: will be otherwise under kube-ipvsd, and nothing has to be done about it. warning: works, but look at it.
// problem: kube-ipvsd does not start so, or Services do not work.
enum class Severity : std::uint8_t { ok, note, warning, problem };
[[nodiscard]] std::string_view to_string(Severity severity);

struct Finding {
  Severity severity = Severity::ok;
  std::string subject;  // "kernel", "module", "sysctl", "access"
  std::string text;
  std::string remedy;  // "" where nothing has to be done
  friend bool operator==(const Finding&, const Finding&) = default;
};

using Findings = std::vector<Finding>;

// The greatest severity; ok for none.
[[nodiscard]] Severity worst(const Findings& findings);

// Aligned columns, the remedy on a line of its own, and a last line that counts.
[[nodiscard]] std::string table(const Findings& findings);
// {"version", "result", "problems", "warnings", "findings": [{"severity", "subject", "text", "remedy"}]}
[[nodiscard]] std::string json(const Findings& findings, std::string_view version);

}  // namespace ipvsd::check
