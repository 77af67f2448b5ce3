// Text from outside, for a terminal: what would steer it is shown as '?'. Pure.
#pragma once

#include <string>
#include <string_view>

namespace ipvsd::ctl {

[[nodiscard]] inline std::string plain(std::string_view text) {
  std::string clean(text);
  for (auto& c : clean)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return clean;
}

// The same, but lines stay lines.
[[nodiscard]] inline std::string plain_lines(std::string_view text) {
  std::string clean(text);
  for (auto& c : clean)
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || c == 0x7f) c = '?';
  return clean;
}

}  // namespace ipvsd::ctl
