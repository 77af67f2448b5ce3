#include "bench/figure.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace ipvsd::bench {
namespace {

std::string json_number(const std::optional<double>& value) { return value ? fmt::format("{:.6g}", *value) : "null"; }

}  // namespace

void print(const Figure& figure) {
  std::optional<double> ratio;
  if (figure.floor && *figure.floor > 0) ratio = figure.value / *figure.floor;
  fmt::print(
      "{{\"name\":\"{}\",\"where\":\"{}\",\"n\":{},\"value\":{:.6g},\"unit\":\"{}\",\"floor\":{},\"ratio\":{}}}\n",
      figure.name, figure.where, figure.n, figure.value, figure.unit, json_number(figure.floor), json_number(ratio));
  std::fflush(stdout);

  std::string verdict;
  const double measured = ratio.value_or(figure.value);
  if (figure.at_most)
    verdict = fmt::format("  at most {:g}: {}", *figure.at_most, measured <= *figure.at_most ? "met" : "MISSED");
  if (figure.at_least)
    verdict = fmt::format("  at least {:g}: {}", *figure.at_least, measured >= *figure.at_least ? "met" : "MISSED");
  std::string compared;
  if (ratio) compared = fmt::format(" (floor {:.4g}, ratio {:.2f})", *figure.floor, *ratio);
  fmt::print(stderr, "{:<28} {:<8} n={:<6} {:>10.4g} {}{}{}\n", figure.name, figure.where, figure.n, figure.value,
             figure.unit, compared, verdict);
}

}  // namespace ipvsd::bench
