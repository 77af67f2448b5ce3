#include "model/kernel.hpp"

#include <fmt/format.h>

namespace ipvsd {
namespace {

std::string_view verb_name(Verb verb) {
  switch (verb) {
    case Verb::add: return "add";
    case Verb::set: return "set";
    case Verb::remove: return "remove";
  }
  return "?";
}

struct Describe {
  Verb verb;

  std::string operator()(const VirtualServer& server) const {
    if (verb == Verb::remove) return fmt::format("virtual server {}", server.key.to_string());
    std::string text = fmt::format("virtual server {} {}", server.key.to_string(), server.scheduler);
    if ((server.flags & flag_persistent) != 0) text += fmt::format(" persistent {}s", server.timeout);
    if (const auto rest = server.flags & ~flag_persistent; rest != 0) text += fmt::format(" flags {:#x}", rest);
    return text;
  }
  std::string operator()(const DestinationOf& of) const {
    const auto text = fmt::format("destination {} of {}", of.destination.key.to_string(), of.server.to_string());
    return verb == Verb::remove ? text : fmt::format("{} weight {}", text, of.destination.weight);
  }
  std::string operator()(const BoundAddress& bound) const {
    return fmt::format("address {}", bound.address.to_string());
  }
  std::string operator()(const SetEntry& entry) const {
    const auto text = fmt::format("{} {}", entry.set.name(), entry.element());
    if (!entry.set.carries_marks() || verb == Verb::remove) return text;
    return fmt::format("{} mark {:#x}/{:#x}", text, entry.mark.value, entry.mark.mask);
  }
  std::string operator()(const LocalRoute& route) const {
    const auto text = fmt::format("local route {}", route.destination.to_string());
    return verb == Verb::remove || !route.source ? text : fmt::format("{} src {}", text, route.source->to_string());
  }
};

}  // namespace

std::string VirtualServerKey::to_string() const {
  if (fwmark != 0) return fmt::format("fwmark {} {}", fwmark, ipvsd::to_string(family()));
  return fmt::format("{}/{}", format_socket(address, port), ipvsd::to_string(protocol));
}

std::string to_string(const Operation& operation) {
  return fmt::format("{} {}", verb_name(operation.verb), std::visit(Describe{operation.verb}, operation.target));
}

}  // namespace ipvsd
