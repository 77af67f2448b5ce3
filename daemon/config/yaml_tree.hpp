// YAML text -> a tree of plain values with line numbers, for the small files that people write by hand (configuration,
// kubeconfig). Bounded: at most 1 MiB of text and 32 levels. Aliases are refused (an alias is how a small file becomes
// a huge tree), and so are NUL bytes and a second document. Pure; never throws; any thread.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace ipvsd {

inline constexpr std::size_t yaml_size_limit = 1U << 20;
inline constexpr std::size_t yaml_depth_limit = 32;

struct YamlMember;

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  int line = 0;                     // from 1
  std::string text;                 // of a scalar
  bool quoted = false;              // the scalar was written in quotes: a string whatever it looks like
  std::vector<YamlNode> items;      // of a list
  std::vector<YamlMember> members;  // of a map, in the order of the text

  // The value of the first member of that name; nullptr if there is none or this is no map.
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
  // For messages: the scalar's text, quoted and cut to a readable length; "a list", "a map", "nothing".
  [[nodiscard]] std::string shown() const;
};

struct YamlMember {
  std::string key;
  int line = 0;
  YamlNode value;
};

struct YamlError {
  int line = 1;
  std::string what;
};

struct YamlDocument {
  YamlNode root;                      // null for an empty text
  std::vector<YamlError> duplicates;  // keys that a map has twice
};

[[nodiscard]] tl::expected<YamlDocument, YamlError> parse_yaml(std::string_view text);

}  // namespace ipvsd
