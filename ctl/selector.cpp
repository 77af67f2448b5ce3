#include "ctl/selector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "ctl/output.hpp"

namespace ipvsd::ctl {
namespace {

enum class Kind : std::uint8_t { place, port, protocol };

Kind kind_of(const Selector& selector) {
  if (selector.address || selector.fwmark != 0) return Kind::place;
  return selector.port.number != 0 ? Kind::port : Kind::protocol;
}

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value == 0) return {};
  return value;
}

std::optional<Port> parse_port(std::string_view text) {
  const auto number = parse_number<std::uint16_t>(text);
  return number ? std::optional(Port{*number}) : std::nullopt;
}

// The part before "/PROTOCOL".
std::optional<Selector> parse_place(std::string_view text) {
  Selector selector;
  if (const auto port = parse_port(text)) {
    selector.port = *port;
    return selector;
  }
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return {};
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (host.find(':') == std::string_view::npos) return {};
  } else if (!IpAddress::parse(text)) {
    // Without brackets it is unclear where an IPv6 address ends: what follows the first colon must be a port.
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return {};
    host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  const auto address = IpAddress::parse(host);
  if (!address) return {};
  selector.address = *address;
  if (rest.empty()) return selector;
  const auto port = rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
  if (!port) return {};
  selector.port = *port;
  return selector;
}

std::optional<Selector> parse_any(std::string_view text) {
  if (const auto protocol = parse_protocol(text); protocol && *protocol != Protocol::none) {
    Selector selector;
    selector.protocol = *protocol;
    return selector;
  }
  constexpr std::string_view mark = "fwmark:";
  if (text.starts_with(mark)) {
    const auto number = parse_number<std::uint32_t>(text.substr(mark.size()));
    if (!number) return {};
    Selector selector;
    selector.fwmark = *number;
    return selector;
  }
  const auto slash = text.rfind('/');
  auto selector = parse_place(text.substr(0, slash));
  if (!selector || slash == std::string_view::npos) return selector;
  const auto protocol = parse_protocol(text.substr(slash + 1));
  if (!protocol || *protocol == Protocol::none) return {};
  selector->protocol = *protocol;
  return selector;
}

// The protocol of a bitmap:port is in its name.
Protocol protocol_of(SetKind kind) {
  switch (kind) {
    case SetKind::node_port_udp:
    case SetKind::node_port_local_udp: return Protocol::udp;
    default: return Protocol::tcp;
  }
}

enum class Match : std::uint8_t { no, unknown, yes };

Error no_such_name(std::string_view word, const Names& names) {
  const auto services = names.services();
  if (services.empty())
    return {Errc::not_found, 0,
            fmt::format("\"{}\" can only be a Service or a namespace, and no names are known here: run kube-ipvsd, or "
                        "say --manifests DIR or --kubeconfig FILE, or select by address, port or protocol",
                        word)};
  return {
      Errc::not_found, 0,
      fmt::format("no Service or namespace of this name, or one that begins so: \"{}\"; {} Services are known, such "
                  "as {}",
                  word, services.size(), services.front())};
}

}  // namespace

// What is known of the thing that a selector is held against.
struct Selectors::Facts {
  std::optional<IpAddress> address;
  std::optional<Port> port;
  std::optional<Protocol> protocol;
  std::uint32_t fwmark = 0;

  [[nodiscard]] Match compare(const Selector& selector) const {
    // A mark stands for address, port and protocol.
    if (fwmark != 0 || selector.fwmark != 0) return fwmark == selector.fwmark ? Match::yes : Match::no;
    Match match = Match::unknown;
    const auto hold = [&match](bool wanted, bool known, bool equal) {
      if (!wanted || match == Match::no || !known) return;
      match = equal ? Match::yes : Match::no;
    };
    hold(selector.address.has_value(), address.has_value(), address == selector.address);
    hold(selector.port.number != 0, port.has_value(), port == selector.port);
    hold(selector.protocol != Protocol::none, protocol.has_value(), protocol == selector.protocol);
    return match;
  }
};

Result<Selector> parse_selector(std::string_view text) {
  if (const auto selector = parse_any(text)) return *selector;
  return fail(Errc::malformed,
              fmt::format("\"{}\" is no selector; accepted are an address (10.96.0.1, fd00::1), address:port "
                          "(10.96.0.1:443, [fd00::1]:443), a port (443), any of these with a protocol (443/udp), a "
                          "protocol (tcp, udp, sctp), fwmark:N, and a Service (web, default/web, default/web:http) or "
                          "namespace (default/)",
                          printable(text.substr(0, 64))));
}

Result<Selectors> Selectors::parse(std::span<const std::string> words, const Names& names) {
  Selectors selection;
  for (const auto& word : words) {
    const auto selector = parse_selector(word);
    if (selector) {
      selection.selectors_.push_back(*selector);
      continue;
    }
    if (!may_be_name(word)) return fail(selector.error());
    const auto found = names.find(word);
    if (found.empty()) return fail(no_such_name(word, names));
    selection.named_ = true;
    for (const auto* frontend : found) selection.add(*frontend);
  }
  return selection;
}

void Selectors::add(const Frontend& frontend) {
  if (frontend.node_port) {
    node_ports_.emplace(frontend.key.protocol, frontend.key.port);
  } else {
    keys_.insert(frontend.key);
    if (frontend.key.fwmark == 0) addresses_.insert(frontend.key.address);
  }
}

bool Selectors::matches_name(const Facts& facts) const {
  if (facts.fwmark != 0) return keys_.contains(VirtualServerKey{*facts.address, Protocol::none, Port{}, facts.fwmark});
  if (!facts.port) return facts.address && addresses_.contains(*facts.address);
  if (node_ports_.contains(std::pair(*facts.protocol, *facts.port))) return true;
  return facts.address && keys_.contains(VirtualServerKey{*facts.address, *facts.protocol, *facts.port, 0});
}

bool Selectors::matches(const Facts& facts) const {
  if (everything()) return true;
  std::array<std::optional<Match>, 3> best;
  if (named_) best.at(static_cast<std::size_t>(Kind::place)) = matches_name(facts) ? Match::yes : Match::no;
  for (const auto& selector : selectors_) {
    auto& kind = best.at(static_cast<std::size_t>(kind_of(selector)));
    kind = std::max(kind.value_or(Match::no), facts.compare(selector));
  }
  Match all = Match::unknown;
  for (const auto& kind : best) {
    if (kind == Match::no) return false;
    if (kind == Match::yes) all = Match::yes;
  }
  return all == Match::yes;
}

bool Selectors::matches(const VirtualServerKey& key) const {
  return matches(Facts{key.address, key.port, key.protocol, key.fwmark});
}

bool Selectors::matches(const IpAddress& bound) const {
  return matches(Facts{.address = bound, .port = {}, .protocol = {}});
}

bool Selectors::matches(const Cidr& routed) const {
  const auto in_words = [&](const Selector& selector) {
    return selector.address && routed.contains(*selector.address);
  };
  return everything() || std::any_of(selectors_.begin(), selectors_.end(), in_words) ||
         std::any_of(addresses_.begin(), addresses_.end(),
                     [&](const auto& address) { return routed.contains(address); }) ||
         std::any_of(keys_.begin(), keys_.end(), [&](const auto& key) { return routed.contains(key.address); });
}

bool Selectors::matches(const SetEntry& entry) const {
  switch (entry.set.type()) {
    case SetType::bitmap_port:
      return matches(Facts{.address = {}, .port = entry.port, .protocol = protocol_of(entry.set.kind)});
    case SetType::hash_ip: return matches(Facts{.address = entry.address, .port = {}, .protocol = {}});
    default: return matches(Facts{.address = entry.address, .port = entry.port, .protocol = entry.protocol});
  }
}

}  // namespace ipvsd::ctl
