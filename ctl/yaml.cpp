// YAML, the part of output.hpp that knows JSON values.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/output.hpp"

namespace ipvsd::ctl {
namespace {

using Json = nlohmann::ordered_json;

// Words that YAML 1.1 readers take for something else.
bool is_reserved(std::string_view text) {
  constexpr std::array words{"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return std::find(words.begin(), words.end(), lower) != words.end();
}

// Strings that no reader mistakes: they start with a letter and go on with letters, digits and "-_./" only.
bool is_plain(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (text.empty() || !letter(text.front()) || is_reserved(text)) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || std::string_view("-_./").find(c) != std::string_view::npos;
  });
}

std::string scalar(const Json& value) {
  if (value.is_string() && is_plain(value.get_ref<const std::string&>())) return value.get<std::string>();
  // A double-quoted string of JSON is one of YAML.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void append(std::string& out, const Json& value, std::size_t indent);

void append_after(std::string& out, const Json& value, std::size_t indent) {
  if (value.is_structured() && !value.empty()) {
    out += '\n';
    append(out, value, indent);
  } else {
    out += ' ' + scalar(value) + '\n';
  }
}

void append_item(std::string& out, const Json& value, std::size_t indent) {
  out.append(indent, ' ') += '-';
  if (!value.is_structured() || value.empty()) {
    out += ' ' + scalar(value) + '\n';
    return;
  }
  // The first member stands behind the dash.
  std::string block;
  append(block, value, indent + 2);
  out += ' ' + block.substr(indent + 2);
}

void append(std::string& out, const Json& value, std::size_t indent) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, member] : value.items()) {
      out.append(indent, ' ') += scalar(name) + ':';
      append_after(out, member, indent + 2);
    }
  } else if (value.is_array() && !value.empty()) {
    for (const auto& item : value) append_item(out, item, indent);
  } else {
    out.append(indent, ' ') += scalar(value) + '\n';
  }
}

}  // namespace

std::string yaml_text(const Json& value, std::size_t indent) {
  std::string out;
  append(out, value, indent);
  return out;
}

std::string yaml_item(const Json& value, std::size_t indent) {
  std::string out;
  append_item(out, value, indent);
  return out;
}

}  // namespace ipvsd::ctl
