// Which part of the node a command is about: what the user writes behind `dump`. Pure.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ctl/names.hpp"
#include "model/kernel.hpp"

namespace ipvsd::ctl {

// One word of the command line; what is set must match.
struct Selector {
  std::optional<IpAddress> address;
  Port port;                           // 0: any
  Protocol protocol = Protocol::none;  // none: any
  std::uint32_t fwmark = 0;            // 0: not by mark; else nothing else is set
  friend bool operator==(const Selector&, const Selector&) = default;
};

// ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT, PORT, each with /PROTOCOL or without; PROTOCOL (tcp, udp, sctp in any case);
// fwmark:N. Error: malformed, saying what is accepted.
[[nodiscard]] Result<Selector> parse_selector(std::string_view text);

// All words together. Words of one kind (addresses, marks and names; ports; protocols) widen, the kinds narrow:
// "10.0.0.1 10.0.0.2 tcp" is what TCP has at either address. No word selects everything.
class Selectors {
 public:
  // A word that is no Selector is a name (Names::find). Errors: malformed; not_found for a name that nothing has,
  // saying where names come from if none are known.
  [[nodiscard]] static Result<Selectors> parse(std::span<const std::string> words, const Names& names = {});

  [[nodiscard]] bool everything() const { return selectors_.empty() && !named_; }
  [[nodiscard]] bool matches(const VirtualServerKey& key) const;
  [[nodiscard]] bool matches(const IpAddress& bound) const;
  // Whether it holds an address that is asked for.
  [[nodiscard]] bool matches(const Cidr& routed) const;
  // By what the set's type knows of: a hash:ip by address only; a bitmap:port by port and by the protocol that its
  // name says. With nothing in common there is no match.
  [[nodiscard]] bool matches(const SetEntry& entry) const;

 private:
  struct Facts;
  [[nodiscard]] bool matches(const Facts& facts) const;
  [[nodiscard]] bool matches_name(const Facts& facts) const;
  void add(const Frontend& frontend);

  std::vector<Selector> selectors_;
  // What the names stand for.
  bool named_ = false;
  std::unordered_set<VirtualServerKey> keys_;
  std::unordered_set<IpAddress> addresses_;
  std::set<std::pair<Protocol, Port>> node_ports_;
};

}  // namespace ipvsd::ctl
