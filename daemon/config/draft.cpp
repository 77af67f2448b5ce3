#include "daemon/config/draft.hpp"

#include <fmt/format.h>

#include "daemon/config/duration.hpp"
#include "daemon/config/fields.hpp"

namespace ipvsd {
namespace {

// YAML takes it for text even without quotes.
bool is_plain_text(const std::string& text) {
  double number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return (error != std::errc{} || stop != end) && !parse_boolean(text);
}

// The kind of node a type is written as; what Field::set relies on.
bool fits(const Option& option, const YamlNode& node) {
  const bool numeric = option.default_value.starts_with("0x");  // a mask: a number in any base
  switch (option.type) {
    case OptionType::boolean:
    case OptionType::integer:
    case OptionType::number: return node.kind == YamlNode::Kind::scalar && !node.quoted;
    case OptionType::text:
      return node.kind == YamlNode::Kind::scalar && (node.quoted || numeric || is_plain_text(node.text));
    case OptionType::duration: return node.kind == YamlNode::Kind::scalar;
    case OptionType::list: return node.kind == YamlNode::Kind::list;
    case OptionType::map: return node.kind == YamlNode::Kind::map;
    case OptionType::anything: return true;
  }
  return false;
}

// Zero and empty mean "not given" to Go's defaulting, so they are no wish to change anything.
bool asks_for_something(const Option& option, const YamlNode& node) {
  switch (option.type) {
    case OptionType::list: return !node.items.empty();
    case OptionType::map: return !node.members.empty();
    case OptionType::anything: return false;
    case OptionType::duration:
      return parse_duration(node.text) != std::chrono::nanoseconds(0) &&
             parse_duration(node.text) != parse_duration(option.default_value);
    case OptionType::boolean: return parse_boolean(node.text) != parse_boolean(option.default_value);
    default: return node.text != option.default_value && !node.text.empty() && node.text != "0";
  }
}

}  // namespace

ConfigDraft::ConfigDraft(std::string file) : file_(std::move(file)) {}

std::string ConfigDraft::located(int line, const std::string& text) const {
  return file_.empty() ? text : fmt::format("{}:{}: {}", file_, line, text);
}

void ConfigDraft::error(int line, const std::string& text) {
  if (full()) return;
  errors_.push_back(located(line, text));
  if (full()) errors_.push_back("too many errors");
}

void ConfigDraft::set(const Option& option, const YamlNode& value, const std::string& name) {
  if (value.kind == YamlNode::Kind::null) return;
  if (!fits(option, value)) {
    const bool unquoted = option.type == OptionType::text && value.kind == YamlNode::Kind::scalar;
    const auto* note = value.quoted ? " in quotes" : unquoted ? " without quotes" : "";
    error(value.line, fmt::format("{}: expected {}, got {}{}", name, to_string(option.type), value.shown(), note));
    return;
  }
  const auto problems = option.field.set(config_, value);
  for (const auto& problem : problems)
    error(problem.line, fmt::format("{}{}: expected {}, got {}", name, problem.at, problem.expected, problem.got));
  if (!problems.empty()) return;
  if (value.kind != YamlNode::Kind::scalar || !value.text.empty()) set_by_[option.name] = {value.line, name};
  if (option.use == Use::ignored && asks_for_something(option, value))
    warnings_.push_back(located(value.line, fmt::format("{}: has no effect here: {}", name, option.meaning)));
}

void ConfigDraft::require(bool good, const std::string& option, const std::string& expected) {
  if (good) return;
  const auto found = set_by_.find(option);
  const Origin origin = found == set_by_.end() ? Origin{1, option} : found->second;
  error(origin.line,
        fmt::format("{}: expected {}, got \"{}\"", origin.name, expected, find_option(option)->field.get(config_)));
}

void ConfigDraft::cross_check() {
  const auto& ipvs = config_.ipvs;
  require(ipvs.sync_period >= ipvs.min_sync_period,
          has("ipvs.minSyncPeriod") ? "ipvs.minSyncPeriod" : "ipvs.syncPeriod",
          fmt::format("minSyncPeriod to be at most syncPeriod ({})", format_duration(ipvs.sync_period)));
  require(
      config_.iptables_sync_period >= config_.iptables_min_sync_period,
      has("iptables.minSyncPeriod") ? "iptables.minSyncPeriod" : "iptables.syncPeriod",
      fmt::format("minSyncPeriod ({}) to be at most syncPeriod ({})", format_duration(config_.iptables_min_sync_period),
                  format_duration(config_.iptables_sync_period)));
  if (config_.detect_local_mode == DetectLocalMode::bridge_interface)
    require(!config_.bridge_interface.empty(), "detectLocalMode", "detectLocal.bridgeInterface to be given with it");
  if (config_.detect_local_mode == DetectLocalMode::interface_name_prefix)
    require(!config_.interface_name_prefix.empty(), "detectLocalMode",
            "detectLocal.interfaceNamePrefix to be given with it");
  const auto masquerade_mark = 1U << config_.masquerade_bit;
  if (has("ipvsd.externalMarkMask"))
    require((config_.own.external_mark_mask & masquerade_mark) == 0, "ipvsd.externalMarkMask",
            fmt::format("a mask without the bit of iptables.masqueradeBit ({})", config_.masquerade_bit));
  else
    config_.own.external_mark_mask &= ~masquerade_mark;
}

ConfigResult ConfigDraft::finish() && {
  cross_check();
  if (!errors_.empty()) return tl::unexpected<std::vector<std::string>>(std::move(errors_));
  const bool ipv6 = config_.bind_address && config_.bind_address->family() == Family::ipv6;
  if (ipv6 && !has("healthzBindAddress")) config_.healthz = SocketAddress{IpAddress::any(Family::ipv6), Port{10256}};
  if (ipv6 && !has("metricsBindAddress")) config_.metrics = SocketAddress{*IpAddress::parse("::1"), Port{10249}};
  if (config_.bind_address && config_.bind_address->is_unspecified()) config_.bind_address.reset();
  return LoadedConfig{std::move(config_), std::move(warnings_)};
}

}  // namespace ipvsd
