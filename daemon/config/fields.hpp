// Makes Fields for the option table: each function takes an accessor, `[](auto& c) -> auto& { return c.ipvs.scheduler;
// }`.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "daemon/config/duration.hpp"
#include "daemon/config/options.hpp"

namespace ipvsd {

[[nodiscard]] std::optional<bool> parse_boolean(std::string_view text);
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
// "10.0.0.1:80", "[::]:80", or a bare address, which gets `port`. Port 1..65535.
[[nodiscard]] std::optional<SocketAddress> parse_socket(std::string_view text, Port port);
// ["a","b"]
[[nodiscard]] std::string json_list(const std::vector<std::string>& items);
[[nodiscard]] std::string json_text(std::string_view text);

// A scalar: `parse` gives an optional of the value, `print` its text.
template <class Access, class Parse, class Print>
Field scalar_field(Access access, std::string expected, Parse parse, Print print) {
  return {[=](Config& config, const YamlNode& node) -> std::vector<Problem> {
            auto value = parse(node.text);
            if (!value) return {{"", node.line, expected, node.shown()}};
            access(config) = static_cast<std::remove_reference_t<decltype(access(config))>>(*std::move(value));
            return {};
          },
          [=](const Config& config) { return print(access(config)); }};
}

template <class Access>
Field boolean_field(Access access) {
  return scalar_field(access, "true or false", parse_boolean,
                      [](bool value) { return std::string(value ? "true" : "false"); });
}

template <class Access>
Field integer_field(Access access, std::int64_t min, std::int64_t max) {
  return scalar_field(
      access, fmt::format("an integer from {} to {}", min, max),
      [=](std::string_view text) {
        auto value = parse_integer(text);
        if (value && (*value < min || *value > max)) value.reset();
        return value;
      },
      [](const auto& value) {
        if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(value)>>)
          return fmt::format("{}", value);
        else
          return fmt::format("{}", value.value_or(0));
      });
}

// Text that `accept` likes.
template <class Access, class Accept>
Field text_field(Access access, std::string expected, Accept accept) {
  return scalar_field(
      access, std::move(expected),
      [=](std::string_view text) { return accept(text) ? std::optional(std::string(text)) : std::nullopt; },
      [](const std::string& value) { return value; });
}

// `zero` is what 0 stands for: Go's defaulting cannot tell 0 from "not given", and files that kubeadm wrote are full of
// zeroes. A field in whole seconds (or milliseconds) takes nothing finer.
template <class Access, class Duration>
Field duration_field(Access access, Duration zero, Duration min = Duration(0)) {
  constexpr bool seconds = std::is_same_v<Duration, std::chrono::seconds>;
  // What a sysctl in seconds holds.
  constexpr auto max = std::chrono::seconds(INT32_MAX);
  std::string expected = fmt::format("a duration in whole {} such as \"{}\"", seconds ? "seconds" : "milliseconds",
                                     seconds ? "90s" : "1m30s");
  if (min > Duration(0)) expected += fmt::format(", at least {}", format_duration(min));
  return scalar_field(
      access, std::move(expected),
      [=](std::string_view text) -> std::optional<Duration> {
        const auto value = parse_duration(text);
        if (!value || *value < Duration(0) || *value > max) return {};
        const auto whole = std::chrono::duration_cast<Duration>(*value);
        if (whole != *value) return {};
        if (whole == Duration(0)) return zero;
        return whole < min ? std::optional<Duration>() : whole;
      },
      [](Duration value) { return format_duration(value); });
}

template <class Access>
Field cidr_list_field(Access access) {
  return {[=](Config& config, const YamlNode& node) {
            std::vector<Problem> problems;
            std::vector<Cidr> cidrs;
            for (std::size_t i = 0; i < node.items.size(); ++i) {
              const auto& item = node.items[i];
              const auto cidr = Cidr::parse(item.text);
              if (cidr)
                cidrs.push_back(*cidr);
              else
                problems.push_back({fmt::format("[{}]", i), item.line, "a CIDR such as 10.0.0.0/8", item.shown()});
            }
            if (problems.empty()) access(config) = std::move(cidrs);
            return problems;
          },
          [=](const Config& config) {
            std::vector<std::string> texts;
            for (const auto& cidr : access(config)) texts.push_back(cidr.to_string());
            return json_list(texts);
          }};
}

// "" keeps the default (kubeadm writes it, meaning just that), "none" disables.
template <class Access>
Field socket_field(Access access, Port port) {
  return {[=](Config& config, const YamlNode& node) -> std::vector<Problem> {
            if (node.text.empty()) return {};
            if (node.text == "none") {
              access(config).reset();
              return {};
            }
            const auto socket = parse_socket(node.text, port);
            if (!socket)
              return {{"", node.line, fmt::format("an address and port such as 0.0.0.0:{}, or none", port.number),
                       node.shown()}};
            access(config) = *socket;
            return {};
          },
          [=](const Config& config) { return access(config) ? access(config)->to_string() : std::string("none"); }};
}

}  // namespace ipvsd
