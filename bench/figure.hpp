// What a benchmark says: a JSON line per figure on standard output, the same for people on standard error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ipvsd::bench {

struct Figure {
  std::string name;   // "cold_start", "cold_start.decode"
  std::string where;  // "outside", "vm"
  std::uint64_t n = 0;
  double value = 0;
  std::string unit;             // "s", "us", "ns", "MB/s", "MiB", "%", "count"
  std::optional<double> floor;  // of the same run, in the same unit
  // What it has to reach; for people. Compared with value, or with value / floor where there is a floor.
  std::optional<double> at_most;
  std::optional<double> at_least;
};

void print(const Figure& figure);

}  // namespace ipvsd::bench
