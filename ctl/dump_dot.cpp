#include "ctl/dump_dot.hpp"

#include <fmt/format.h>

#include "ctl/output.hpp"

namespace ipvsd::ctl {
namespace {

// A quoted string of the dot language.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result += '"';
}

// Two lines in one label.
std::string label(std::string_view first, std::string_view second) {
  auto text = quoted(first);
  if (second.empty()) return text;
  text.pop_back();
  return text + "\\n" + quoted(second).substr(1);
}

}  // namespace

std::string dot_head() { return "digraph ipvs {\n  rankdir=LR;\n  node [shape=box];\n"; }

std::string dot_text(const ObservedServer& observed, const Names& names) {
  const auto& key = observed.record.server.key;
  const auto server = quoted(key.to_string());
  std::string text =
      fmt::format("  {} [label={}];\n", server, label(key.to_string(), observed.record.server.scheduler));
  if (const auto* frontend = names.of(key); frontend != nullptr) {
    const auto service = quoted("service " + frontend->service.to_string());
    text += fmt::format("  {} [label={}, shape=ellipse];\n", service, quoted(frontend->service.to_string()));
    text += fmt::format("  {} -> {} [label={}];\n", service, server, quoted(frontend->port));
  }
  for (const auto& record : observed.destinations) {
    const auto& destination = record.observed.destination;
    const auto endpoint = quoted("endpoint " + destination.key.to_string());
    const auto* pod = names.pod_at(destination.key.address);
    text += fmt::format("  {} [label={}];\n", endpoint,
                        label(destination.key.to_string(), pod == nullptr ? "" : pod->to_string()));
    // Draining ones are dashed.
    text += fmt::format("  {} -> {} [label=\"{}\"{}];\n", server, endpoint, destination.weight,
                        destination.weight == 0 ? ", style=dashed" : "");
  }
  return text;
}

std::string dot_tail() { return "}\n"; }

}  // namespace ipvsd::ctl
