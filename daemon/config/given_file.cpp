#include "daemon/config/given_file.hpp"

#include <fmt/format.h>

#include "daemon/config/yaml_tree.hpp"
#include "os/file.hpp"

namespace ipvsd {
namespace {

bool is_of_kind(const YamlNode& node, std::string_view kind) {
  const auto* found = node.find("kind");
  return found != nullptr && found->text == kind;
}

}  // namespace

ConfigResult parse_given_config(std::string_view yaml, const std::string& file_name) {
  const auto document = parse_yaml(yaml);
  if (!document || !is_of_kind(document->root, "ConfigMap")) return parse_config(yaml, file_name);
  const auto* map = document->root.find("data");
  for (const auto& [key, line, value] : map != nullptr ? map->members : std::vector<YamlMember>{}) {
    const auto inner = parse_yaml(value.text);
    if (inner && is_of_kind(inner->root, "KubeProxyConfiguration"))
      return parse_config(value.text, fmt::format("{}[{}]", file_name, key));
  }
  return tl::unexpected<std::vector<std::string>>({fmt::format(
      "{}: the ConfigMap holds no KubeProxyConfiguration; kubeadm keeps it in kube-system/kube-proxy under "
      "config.conf",
      file_name)});
}

ConfigResult read_given_config(const std::string& path) {
  const auto text = read_small_file(path, yaml_size_limit);
  if (!text) return tl::unexpected<std::vector<std::string>>({text.error().message()});
  return parse_given_config(*text, path);
}

}  // namespace ipvsd
