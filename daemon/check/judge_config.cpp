#include <fmt/format.h>

#include "daemon/check/judge.hpp"
#include "daemon/config/options.hpp"
#include "scheduler/choice.hpp"

namespace ipvsd::check {

Findings judge_config(const GivenConfig& given) {
  Findings findings;
  const auto subject = given.file.empty() ? std::string("flags") : "configuration";
  for (const auto& error : given.errors)
    findings.push_back({Severity::problem, subject, error,
                        "correct or remove it: kube-proxy skips what it does not know, kube-ipvsd does not start"});
  if (!given.errors.empty()) return findings;
  for (const auto& warning : given.warnings)
    findings.push_back({Severity::warning, subject, warning, "remove it from the configuration of kube-ipvsd"});
  for (const auto& option : options()) {
    if (option.use != Use::checked) continue;
    const auto value = option.field.get(given.config);
    if (value != option.default_value)
      findings.push_back(
          {Severity::note, subject,
           fmt::format("{} is {}, kube-ipvsd accepts it and goes without: {}", option.name, value, option.meaning),
           ""});
  }
  if (const auto scheduler = choose_scheduler(given.config.ipvs.scheduler); !scheduler)
    findings.push_back({Severity::problem, subject, scheduler.error().context, "set ipvs.scheduler to another one"});
  if (worst(findings) < Severity::warning)
    findings.push_back({Severity::ok, subject,
                        given.file.empty()
                            ? std::string("nothing here that kube-ipvsd does not do")
                            : fmt::format("{}: every option does what it does for kube-proxy", given.file),
                        ""});
  return findings;
}

}  // namespace ipvsd::check
