// Durations as Go writes and reads them (time.ParseDuration, metav1.Duration): "1m30s", "1.5h", "250ms", "0".
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace ipvsd {

// A sign, then numbers with units ns, us, ms, s, m, h, in any order. Empty for anything else, and where the sum does
// not fit 64 bits of nanoseconds (about 292 years).
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// The shortest text that parse_duration reads back as the same: "24h", "1m30s", "250ms", "0s".
[[nodiscard]] std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace ipvsd
