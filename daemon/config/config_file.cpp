#include "daemon/config/config_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>

#include "daemon/config/draft.hpp"
#include "os/fd.hpp"
#include "os/file.hpp"

namespace ipvsd {
namespace {

// Levenshtein distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (::tolower(a[i - 1]) == ::tolower(b[j - 1]) ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, changed}));
    }
  }
  return row.back();
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

// The known field or section nearest to an unknown one; "" if none is near. A right name in the wrong section counts.
std::string nearest(const std::string& unknown) {
  if (unknown.size() > 64) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, last_part(unknown).size() / 3) + 1;
  for (const auto& option : options()) {
    for (auto name = option.name; !name.empty();
         name = name.substr(0, name.find('.') == std::string::npos ? 0 : name.find('.'))) {
      const auto d = std::min(distance(unknown, name), 1 + distance(last_part(unknown), last_part(name)));
      if (d < best_distance) {
        best_distance = d;
        best = name;
      }
    }
  }
  return best;
}

bool is_section(const std::string& name) {
  return std::any_of(options().begin(), options().end(),
                     [&](auto& option) { return option.name.starts_with(name + "."); });
}

void walk(ConfigDraft& draft, const YamlNode& map, const std::string& prefix) {
  for (const auto& [key, line, value] : map.members) {
    if (draft.full()) return;
    const auto name = prefix + key;
    if (const auto* option = find_option(name)) {
      draft.set(*option, value, name);
    } else if (is_section(name)) {
      if (value.kind == YamlNode::Kind::map)
        walk(draft, value, name + ".");
      else if (value.kind != YamlNode::Kind::null)
        draft.error(value.line, fmt::format("{}: expected a map, got {}", name, value.shown()));
    } else {
      const auto near = nearest(name);
      YamlNode shown;
      shown.kind = YamlNode::Kind::scalar;
      shown.text = name;
      draft.error(line, fmt::format("{}: unknown field{}", shown.shown(),
                                    near.empty() ? "" : fmt::format("; did you mean {}?", near)));
    }
  }
}

}  // namespace

ConfigResult parse_config(std::string_view yaml, std::string file_name) {
  ConfigDraft draft(file_name.empty() ? "config" : std::move(file_name));
  const auto document = parse_yaml(yaml);
  if (!document) {
    draft.error(document.error().line, document.error().what);
    return std::move(draft).finish();
  }
  for (const auto& [line, what] : document->duplicates) draft.error(line, what);
  const auto& root = document->root;
  if (root.kind != YamlNode::Kind::map) {
    draft.error(std::max(root.line, 1), fmt::format("expected a KubeProxyConfiguration (a map), got {}", root.shown()));
    return std::move(draft).finish();
  }
  walk(draft, root, "");
  for (const auto* required : {"apiVersion", "kind"})
    if (const auto* value = root.find(required); value == nullptr || value->kind == YamlNode::Kind::null)
      draft.error(1, fmt::format("{}: expected {}, got nothing", required, find_option(required)->default_value));
  return std::move(draft).finish();
}

Result<std::string> read_config_text(const std::string& path) { return read_small_file(path, yaml_size_limit); }

ConfigResult read_config(const std::string& path) {
  const auto text = read_config_text(path);
  if (!text) return tl::unexpected<std::vector<std::string>>({text.error().message()});
  return parse_config(*text, path);
}

Result<std::string> node_name(const Config& config, std::string_view hostname) {
  std::string name(config.hostname_override.empty() ? hostname : std::string_view(config.hostname_override));
  constexpr auto space = " \t\r\n\v\f";
  name.erase(0, std::min(name.find_first_not_of(space), name.size()));
  name.erase(name.find_last_not_of(space) + 1);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(c < 128 ? ::tolower(c) : c); });
  if (name.empty())
    return fail(Errc::malformed,
                "the node's name is empty: set hostnameOverride (--hostname-override) to the name of this Node object");
  return name;
}

}  // namespace ipvsd
