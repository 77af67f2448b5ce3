#include "daemon/config/fields.hpp"

#include <array>

namespace ipvsd {

// YAML 1.1 as kube-proxy reads it; "y" and "n" are no booleans there either (sigs.k8s.io/yaml).
std::optional<bool> parse_boolean(std::string_view text) {
  for (const auto* word : {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
    if (text == word) return true;
  for (const auto* word : {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
    if (text == word) return false;
  return {};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

std::optional<SocketAddress> parse_socket(std::string_view text, Port port) {
  if (const auto bare = IpAddress::parse(text)) return SocketAddress{*bare, port};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  auto host = text.substr(0, colon);
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto number = parse_integer(text.substr(colon + 1)).value_or(0);
  // Without brackets, the colons of an IPv6 address and the port's could not be told apart.
  if (!address || brackets != (host.find(':') != std::string_view::npos) || number < 1 || number > 65535) return {};
  return SocketAddress{*address, Port{static_cast<std::uint16_t>(number)}};
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}

std::string json_list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? "," : "") + json_text(item);
  return out + "]";
}

}  // namespace ipvsd
