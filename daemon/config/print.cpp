// The configuration as text, in three dialects of one table.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/config/duration.hpp"
#include "daemon/config/fields.hpp"
#include "daemon/config/options.hpp"

namespace ipvsd {
namespace {

struct Member {
  const Option* option;
  std::string name;   // within its section
  std::string value;  // JSON
};
struct Section {
  std::string name;  // "": the top
  std::vector<Member> members;
};

std::string json_value(const Option& option, const Config& config) {
  const auto text = option.field.get(config);
  switch (option.type) {
    case OptionType::boolean:
    case OptionType::integer:
    case OptionType::number:
    case OptionType::list:
    case OptionType::map: return text;
    default: return json_text(text);
  }
}

// Fields of one section need not be neighbours in the table.
std::vector<Section> sections(const Config& config, bool with_ignored) {
  std::vector<Section> all{{"", {}}};
  for (const auto& option : options()) {
    if (option.use == Use::ignored && !with_ignored) continue;
    const auto dot = option.name.find('.');
    const auto section = dot == std::string::npos ? "" : option.name.substr(0, dot);
    auto found = std::find_if(all.begin(), all.end(), [&](const Section& s) { return s.name == section; });
    if (found == all.end()) found = all.insert(all.end(), {section, {}});
    found->members.push_back(
        {&option, option.name.substr(dot == std::string::npos ? 0 : dot + 1), json_value(option, config)});
  }
  return all;
}

// {members of the top, sections as maps}; `render` gives `"name":value` of a member, or "" to leave it out.
template <class Rename, class Render>
std::string nested(const std::vector<Section>& all, Rename rename, Render render) {
  std::string top;
  for (const auto& section : all) {
    std::string text;
    for (const auto& member : section.members) {
      const auto rendered = render(section, member);
      if (!rendered.empty()) text += (text.empty() ? "" : ",") + rendered;
    }
    if (!section.name.empty()) text = fmt::format("{}:{{{}}}", json_text(rename(section.name)), text);
    top += (top.empty() ? "" : ",") + text;
  }
  return "{" + top + "}";
}

// time.Duration.String().
std::string go_duration(std::chrono::nanoseconds duration) {
  using namespace std::chrono;
  if (duration < seconds(1)) return format_duration(duration);
  const auto whole_hours = duration_cast<hours>(duration);
  const auto whole_minutes = duration_cast<minutes>(duration - whole_hours);
  const auto rest = duration_cast<milliseconds>(duration - whole_hours - whole_minutes);
  std::string text;
  if (whole_hours.count() > 0) text += fmt::format("{}h", whole_hours.count());
  if (duration >= minutes(1)) text += fmt::format("{}m", whole_minutes.count());
  return text + fmt::format("{}s", static_cast<double>(rest.count()) / 1000);
}

// The fields of pkg/proxy/apis/config/types.go and component-base/config/types.go that are not just capitalised.
std::string go_name(const std::string& name) {
  using Pair = std::pair<std::string_view, std::string_view>;
  static constexpr std::array special{Pair{"ipvs", "IPVS"},
                                      Pair{"ipvsd", "IPVSD"},
                                      Pair{"iptables", "IPTables"},
                                      Pair{"nftables", "NFTables"},
                                      Pair{"qps", "QPS"},
                                      Pair{"oomScoreAdj", "OOMScoreAdj"},
                                      Pair{"snatNodeInternalIP", "SNATNodeInternalIP"}};
  for (const auto& [plain, go] : special)
    if (name == plain) return std::string(go);
  for (const auto* prefix : {"tcp", "udp"})
    if (name.starts_with(prefix)) return (prefix == std::string("tcp") ? "TCP" : "UDP") + name.substr(3);
  std::string capital = name;
  capital[0] = static_cast<char>(::toupper(static_cast<unsigned char>(capital[0])));
  return capital;
}

std::string go_member(const Section& section, const Member& member) {
  // The internal object has neither.
  if (section.name.empty() && (member.name == "apiVersion" || member.name == "kind")) return {};
  // LoggingConfiguration is the one type with JSON names.
  if (section.name == "logging") {
    if (member.name == "vmodule") return {};
    if (member.name == "options") return R"("options":{"text":{"infoBufferSize":"0"},"json":{"infoBufferSize":"0"}})";
    return json_text(member.name) + ":" + member.value;
  }
  auto value = member.value;
  if (member.option->type == OptionType::list && value == "[]") value = "null";
  if (value == "\"none\"" && member.name.ends_with("BindAddress")) value = "\"\"";
  if (member.option->type == OptionType::duration) {
    const auto duration = parse_duration(std::string_view(value).substr(1, value.size() - 2));
    value = json_text(go_duration(duration.value_or(std::chrono::nanoseconds(0))));
  }
  return json_text(go_name(member.name)) + ":" + value;
}

}  // namespace

std::string config_json(const Config& config) {
  return nested(
      sections(config, false), [](const std::string& name) { return name; },
      [](const Section&, const Member& member) { return json_text(member.name) + ":" + member.value; });
}

std::string configz_json(const Config& config) {
  return nested(
      sections(config, true), [](const std::string& name) { return go_name(name); }, go_member);
}

std::string config_yaml(const Config& config) {
  std::string text;
  for (const auto& section : sections(config, false)) {
    if (!section.name.empty()) text += section.name + ":\n";
    for (const auto& member : section.members)
      text += fmt::format("{}{}: {}\n", section.name.empty() ? "" : "  ", member.name, member.value);
  }
  return text;
}

}  // namespace ipvsd
