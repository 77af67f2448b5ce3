// Times as the Kubernetes API writes them.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace ipvsd {

// "2026-11-20T10:12:33Z", also with fractions (cut) and an offset. Empty if it is no such time.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_rfc3339(std::string_view text);
// With the fraction, to the nanosecond. Empty also outside the years 1970 to 2261, which is what fits.
[[nodiscard]] std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> parse_rfc3339_nanos(std::string_view text);

}  // namespace ipvsd
