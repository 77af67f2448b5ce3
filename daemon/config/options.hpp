// The option table: every field of KubeProxyConfiguration v1alpha1 and of our own section, with the flag that sets it,
// its type, default and meaning. The file reader, the command line, /configz and the check of docs/configuration.md all
// go by it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/config.hpp"
#include "daemon/config/yaml_tree.hpp"

namespace ipvsd {

enum class OptionType { boolean, integer, number, text, duration, list, map, anything };
[[nodiscard]] std::string_view to_string(OptionType type);

// honoured: does what it says. checked: validated, but there is nothing here that it could set, and nobody misses it.
// ignored: accepted with the right type, has no effect here; a value other than the default gives a warning.
enum class Use { honoured, checked, ignored };

// What is wrong with a value, or with one element of it.
struct Problem {
  std::string at;  // "" or "[2]", appended to the field's name
  int line = 0;
  std::string expected;
  std::string got;
};

// One field of Config, as text. `set` leaves the field alone where it reports a problem; the node has the right kind
// (scalar, list, map) already. `get` gives the text that `set` takes; lists as a JSON array.
struct Field {
  std::function<std::vector<Problem>(Config&, const YamlNode&)> set;
  std::function<std::string(const Config&)> get;
};

struct Option {
  std::string name;  // "ipvs.syncPeriod"
  std::string flag;  // "--ipvs-sync-period"; "" if there is none
  OptionType type = OptionType::text;
  std::string default_value;  // as Field::get prints it
  Use use = Use::honoured;
  std::string meaning;
  Field field;
};

// In the order in which documentation lists them.
[[nodiscard]] const std::vector<Option>& options();
[[nodiscard]] const Option* find_option(std::string_view name);

// The configuration of an empty file on an IPv4 node.
[[nodiscard]] Config default_config();

// The effective configuration as JSON, nested and named as in the file. Holds no secrets: Config has none.
[[nodiscard]] std::string config_json(const Config& config);
// The same as a file that reads back to the same configuration, by us and, but for `ipvsd`, by kube-proxy.
[[nodiscard]] std::string config_yaml(const Config& config);
// The same as kube-proxy 1.30 shows it at /configz: the names of its Go types, all fields there are, Go's durations.
[[nodiscard]] std::string configz_json(const Config& config);

}  // namespace ipvsd
